# SPDX-License-Identifier: MIT
"""How long things took the last time, kept in the cache: it says how long is left, and which cases go first."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from testbed import paths
from testbed.harness.records import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testbed.harness.records import CaseRecord, RunRecord

FILE = "durations.json"
MOST = 20_000
"""Entries that are kept; the oldest go first."""
_SURE_SHARE = 0.5  # of the cases that a forecast needs to know
_SEVERAL = 2


class Durations:
    """Lengths of wall time by name, s.

    Args:
        known: What is known so far, oldest first.
        path: The file that it was read from, and will be written to.
    """

    def __init__(self, known: dict[str, float], path: Path) -> None:
        self.known = known
        self.path = path

    @classmethod
    def load(cls, path: Path | None = None) -> Durations:
        """Read them; a file that is missing or damaged says nothing, and is no error.

        Args:
            path: Default: ``durations.json`` in the cache.
        """
        path = path or paths.cache_dir() / FILE
        known: dict[str, float] = {}
        with suppress(OSError, ValueError, AttributeError):
            found = json.loads(path.read_text(encoding="utf-8"))
            known = {str(key): float(value) for key, value in found.items() if isinstance(value, int | float)}
        return cls(known, path)

    def get(self, name: str) -> float | None:
        """Give the last length, s; None where nothing is known."""
        return self.known.get(name)

    def of(self, backend: str, suite: str, case: str) -> float | None:
        """Give how long an execution of a case took the last time, s; None where nothing is known."""
        return self.get(_case(backend, suite, case))

    def put(self, name: str, seconds: float) -> None:
        """Take a new length."""
        self.known.pop(name, None)
        self.known[name] = round(seconds, 3)

    def save(self) -> None:
        """Write them; a cache that cannot be written costs the forecast, and nothing else."""
        kept = dict(list(self.known.items())[-MOST:])
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(kept, indent=0) + "\n")

    def take(self, run: RunRecord) -> None:
        """Take the length of an execution of each case of a run, and save."""
        for case in run.cases:
            if case.executions:
                self.put(_case(run.backend, case.suite, case.case), case.wall_s / len(case.executions))
        self.save()

    def left_s(self, run: RunRecord, cases: Iterable[CaseRecord]) -> float | None:
        """Forecast how long cases of a run will take, s of wall time.

        Args:
            run: Whose options count: executions of each case, cases at a time, backend.
            cases: Those that are not done.

        Returns:
            None where less than half of them are known; the others are taken as long as the mean of these.
        """
        every = list(cases)
        known = [found for case in every if (found := self.of(run.backend, case.suite, case.case)) is not None]
        if not known or len(known) < _SURE_SHARE * len(every):
            return None
        one_by_one_s = sum(known) / len(known) * len(every) * run.repeat
        workers = int(run.environment.get("workers", 1))
        longest_s = max(known) * run.repeat  # no number of workers makes one case shorter
        return max(longest_s, one_by_one_s / max(1, min(workers, len(every))))


def about(seconds: float) -> str:
    """Say a length roughly, as a forecast is: ``40 s``, ``6 min``, ``2 h``."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= _SEVERAL * size:
            return f"{round(seconds / size)} {unit}"
    return f"{max(1, round(seconds))} s"


def _case(backend: str, suite: str, case: str) -> str:
    return f"case {backend} {suite}/{case}"
