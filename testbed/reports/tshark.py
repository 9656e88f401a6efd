# SPDX-License-Identifier: MIT
"""Captures decoded by tshark(1), where it is installed: Wireshark's dissectors and display filters."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from typing import TYPE_CHECKING

from testbed.errors import CapabilityError, ConfigError
from testbed.harness.packets import frames
from testbed.reports import frames as tables
from testbed.reports.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.harness.packets import Frame

# Number, source, protocol, destination, info (wireshark(4), "gui.column.format"); -T tabs puts a tab between them, and
# an arrow between a source and a destination that stand side by side.
_COLUMNS = '"n","%m","s","%s","p","%p","d","%d","i","%i"'
_CELLS = 5
_ROOT = "Running as user"  # what it always says to root


def installed() -> bool:
    """Say whether there is one."""
    return shutil.which("tshark") is not None


def version() -> str:
    """Give its name and version, ``TShark (Wireshark) 4.0.17``.

    Raises:
        CapabilityError: It is not installed.
    """
    if not installed():
        raise CapabilityError("tshark is not installed", hint="apt-get install tshark, or --decoder scapy")
    done = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.partition("(Git")[0].splitlines()[0].strip().removesuffix(".")


def rows(path: Path, epoch_ns: int, expression: str | None) -> Iterator[tuple[Frame, tuple[str, ...]]]:
    """Decode a capture, frame by frame.

    Args:
        path: The file ``LINK.NODE.pcapng``.
        epoch_ns: What times count from, ns since 1970.
        expression: Display filter, or None.

    Yields:
        Each frame that passes, and its cells as of ``frames.HEADINGS``.

    Raises:
        ConfigError: tshark refuses the filter or the file; its words are in the message.
    """
    argv = ["tshark", "-n", "-r", str(path), "-T", "tabs", "-o", f"gui.column.format:{_COLUMNS}"]
    argv += ["-Y", expression] if expression else []
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace"
    ) as child:
        if child.stdout is None or child.stderr is None:
            return
        source, passed = frames(path), 0
        for text in child.stdout:
            cells = [cell.strip() for cell in text.rstrip("\n").split("\t", _CELLS - 1)]
            if len(cells) < _CELLS or not cells[0].isdigit():
                continue
            number = int(cells[0])
            sender, protocol, receiver, info = cells[1:]
            frame = next(itertools.islice(source, number - passed - 1, None), None)
            passed = number
            if frame is not None:
                yield frame, tables.cells(frame, path.stem, epoch_ns, [sender, receiver, protocol, info])
        words = child.stderr.read()
        if child.wait() != 0:
            told = (
                " ".join(text.removeprefix("tshark: ") for text in plain(words).splitlines() if _ROOT not in text)
                or f"exit status {child.returncode}"
            )
            raise ConfigError(f"tshark: {told}", hint="display filters: man wireshark-filter")
