# SPDX-License-Identifier: MIT
"""A run on an experiment that is to be completed: what it lacks, and whether this machine can add it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.output import note
from testbed.errors import CapabilityError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.harness.records import RunRecord

_HINT = "testbed cloudlab run --manifest FILE SUITE... makes a whole new run"


class Earlier:
    """A run that is to be completed.

    Args:
        word: The run: its folder, its name or ``latest``.

    Raises:
        ConfigError: There is no such run; it goes on, is of another backend, or does not say which cases it lacks; or
            its tests are not here.
    """

    def __init__(self, word: str) -> None:
        from testbed.harness import lookup
        from testbed.harness.resume import finished

        self.folder, self.run = lookup.open_run(word)
        self._check()
        self.kept = finished(self.run)
        done = {case.nodeid for case in self.kept}
        self._nodeids = [case.nodeid for case in self.run.cases if case.nodeid not in done]
        self._root = self._find_root() if self._nodeids else Path.cwd()
        self.exit_code: int | None = None

    @property
    def missing(self) -> list[str]:
        """Give the cases that it lacks, wherever this process works."""
        return [os.path.normpath(self._root / file) + test for file, test in map(_split, self._nodeids)]

    @property
    def topo(self) -> str | None:
        """Give what ``--topo`` said."""
        found: str | None = self.run.environment.get("topo")
        return found

    def pytest_words(self, given: list[str]) -> list[str]:
        """Give the words of pytest: those of the earlier run, then those of now; cases keep their names."""
        before = self.run.command[self.run.command.index("--") + 1 :] if "--" in self.run.command else []
        return [f"--rootdir={self._root}", *before, *given]

    def check_same(self, agent: Path) -> None:
        """Make sure that what is run now is what the kept cases ran on.

        Args:
            agent: The agent's program.

        Raises:
            ConfigError: Testbed, the agent or a LibOS is another one.
        """
        from importlib import metadata

        from testbed.backends.artifacts import identify

        was, now = self.run.environment.get("testbed"), metadata.version("testbed")
        if was != now and self.kept:
            raise ConfigError(f"{self.folder} was made by testbed {was}, and this is testbed {now}", hint=_HINT)
        here = set(identify(agent).values())
        for case in self.kept:
            other = {name: sha256 for name, sha256 in case.artifacts.items() if sha256 not in here}
            other = {name: sha256 for name, sha256 in other.items() if sha256 != _library(case.libos)}
            if other:
                what = f"{case.nodeid} of {self.folder} ran on {', '.join(sorted(other))}"
                raise ConfigError(f"{what}, and the one of now differs: one run would mix the two", hint=_HINT)

    def merged(self, then: Callable[[RunRecord, Path], None]) -> Callable[[RunRecord, Path], None]:
        """Give what a run calls at its end: it then has the cases of the earlier one, too."""

        def ended(run: RunRecord, folder: Path) -> None:
            from testbed.harness.resume import merge

            self.exit_code = merge(run, folder, self.kept, self.folder)
            then(run, folder)

        return ended

    def _check(self) -> None:
        from testbed.harness.runfolder import in_use

        if in_use(self.folder):
            raise ConfigError(f"the run {self.folder} still goes on", hint="wait for its end, or end it by Ctrl-C")
        if self.run.backend != "cloudlab":
            found = f"{self.folder} is of backend {self.run.backend!r}"
            raise ConfigError(f"wanted a run of backend 'cloudlab' to complete, {found}", hint=_HINT)
        problem = next((text for text in self.run.problems if text.startswith("cannot collect")), None)
        if problem is not None or not self.run.cases:
            why = problem or "it ended before its cases were collected"
            raise ConfigError(f"nobody knows what {self.folder} lacks: {why}", hint=_HINT)

    def _find_root(self) -> Path:
        """Find the folder that the node ids are relative to: as the run says, else here."""
        files = list(dict.fromkeys(_split(nodeid)[0] for nodeid in self._nodeids))
        roots = list(dict.fromkeys([Path(self.run.environment.get("rootdir", ".")), Path.cwd()]))
        for root in roots:
            if all((root / file).exists() for file in files):
                return root
        absent = [file for file in files if not (roots[0] / file).exists()]
        where = " or ".join(map(str, roots))
        raise ConfigError(f"the tests of {self.folder} are not here: no {', '.join(absent)} in {where}", hint=_HINT)


def tell_missing(run: RunRecord, folder: Path, manifest: Path) -> None:
    """Say how what a run lacks is run."""
    from testbed.harness.resume import finished

    count = len(run.cases) - len(finished(run))
    if count:
        where = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        which = f"{count} case{'s' if count > 1 else ''} did not run or met an error"
        note(f"{which}: testbed cloudlab run --manifest {manifest} --resume {where}")


def _split(nodeid: str) -> tuple[str, str]:
    """Give the file of a node id, and the rest with its colons."""
    file, colons, test = nodeid.partition("::")
    return file, colons + test


def _library(libos: str) -> str | None:
    """Give the SHA-256 of the library of a LibOS as it is now; None where there is none."""
    from testbed.libos.library import find_library

    try:
        return find_library(libos).artifact[1] if libos else None
    except (CapabilityError, ConfigError):
        return None
