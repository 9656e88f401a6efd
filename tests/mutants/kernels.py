# SPDX-License-Identifier: MIT
"""Kernels with a fault in them, or with a part of our series: one scratch tree, patched, few objects compiled, linked.

The tree is our own, below the cache's ``linux`` folder: the default kernel's objects are not touched, and
``testbed make clean --cache`` removes both.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed import paths
from testbed.libos.linux import config, make, patches, toolchain
from testbed.libos.linux.progress import Progress, ignore
from testbed.libos.linux.source import find_source, read_release
from testbed.libos.linux.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BASE = "base"


class Workshop:
    """A scratch tree, one for each source; use it under :meth:`opened`.

    Args:
        folder: Where it lies; default below the cache folder.
        source: The kernel's source; default the newest of the distribution.
    """

    def __init__(self, folder: Path | None = None, source: Path | None = None) -> None:
        self._folder = folder or paths.cache_dir() / "linux" / "mutants"
        self._tree = WorkTree(find_source(source), base=self._folder)
        self._tools = toolchain.find()
        self.log = self._tree.folder / "build.log"
        self.kernels = self._tree.folder / "kernels"
        self.runs = self._tree.folder / "runs"

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep other checks out; what an earlier one left of kernels and runs is removed, and the kernels at the end.

        Runs stay until the next check: who looks into a mutant wants its records.
        """
        with self._tree.locked():
            for leftover in (self.kernels, self.runs):
                shutil.rmtree(leftover, ignore_errors=True)
            self.log.write_text("")
            try:
                yield
            finally:
                shutil.rmtree(self.kernels, ignore_errors=True)

    @property
    def series(self) -> list[Path]:
        """List our patches for this source, in order."""
        self._tree.prepare()
        return patches.series_for(read_release(self._tree.tree).version)

    def build(
        self, name: str, faults: Sequence[Path], progress: Progress = ignore, *, series: Sequence[Path] | None = None
    ) -> Path:
        """Build the default kernel with patches on top; what did not change is not compiled again.

        Args:
            name: Names the program's folder.
            faults: The patches; none gives the kernel as it is.
            progress: Called with every step.
            series: The patches below; default all of ours.

        Returns:
            The kernel's program.

        Raises:
            BuildError: A patch does not apply, or the compiler failed.
        """
        self._tree.prepare()
        release = read_release(self._tree.tree)
        self._tree.apply([*(self.series if series is None else series), *faults])
        fragments = (config.read_fragment(path, release.version) for path in config.default_fragments())
        options = config.merge(option for fragment in fragments for option in fragment)
        run = make.Make(self._tree.tree, self._tree.build, self._tools, log=self.log, log_if_failed=self.log)
        run.configure(config.text_of(options))
        run.compile(len(os.sched_getaffinity(0)), self._tree.objects() or make.TYPICAL_STEPS, progress)
        program = self.kernels / name / "linux"
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._tree.build / "linux", program)
        return program

    def discard(self, program: Path) -> None:
        """Remove a kernel that was built here."""
        shutil.rmtree(program.parent)
