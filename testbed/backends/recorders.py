# SPDX-License-Identifier: MIT
"""The recorder of a network whose doings nobody wants to keep."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from testbed.backends.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class NullRecorder:
    """Keeps nothing but the captures (a live network reads its own), and those only while it lives itself."""

    def __init__(self) -> None:
        self._folder: Scratch | None = None

    @property
    def console_path(self) -> Path | None:
        """No file: the console vanishes with the guest."""
        return None

    def command(self, name: str, fields: Mapping[str, object], start_ns: int, end_ns: int) -> None:
        """Forget it."""

    def process_started(
        self,
        process: int,
        node: str,
        *,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        start_ns: int,
    ) -> None:
        """Forget it."""

    def process_output(self, process: int, stream: int, data: bytes) -> None:
        """Forget it."""

    def process_exited(self, process: int, status: int, end_ns: int) -> None:
        """Forget it."""

    def capture(self, link: str, node: str, data: bytes) -> None:
        """Append to a file that lives as long as this object."""
        with self.capture_path(link, node).open("ab") as file:
            file.write(data)

    def capture_path(self, link: str, node: str) -> Path:
        """Give the file of a link end, in a temporary folder."""
        if self._folder is None:
            self._folder = Scratch("captures")
            weakref.finalize(self, self._folder.close)
        return self._folder.path / f"{link}.{node}.pcapng"

    def drops(self, count: int) -> None:
        """Forget it."""

    def kernel_log(self, text: str, taint: int) -> None:
        """Forget it."""
