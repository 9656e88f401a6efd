# SPDX-License-Identifier: MIT
"""Two runs compared case by case: verdicts, what appeared and vanished, and where the records first differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.errors import ConfigError
from testbed.harness.determinism import Difference, compare, is_named
from testbed.harness.records import RECORD_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.harness.records import CaseRecord, RunRecord

_FACTS = ("testbed", "python", "machine", "host_system")


@dataclass(frozen=True, kw_only=True)
class How:
    """What counts as a difference.

    Args:
        times: Whether time alone does.
        since_ns: Frames before this time of the network's clock do not; None is all.
        only: Names of the parts that do: ``commands``, ``kernel``, ``process:ping``, ``capture:h1-h2``; none = all.
    """

    times: bool = True
    since_ns: int | None = None
    only: tuple[str, ...] = ()

    def counts(self, part: str) -> bool:
        """Say whether a part of a record is looked at."""
        return not self.only or any(is_named(part, name) for name in self.only)


EXACTLY = How()


@dataclass
class CaseDiff:
    """One case, as two runs have it.

    Args:
        name: ``SUITE/CASE``: the same on every machine.
        one: The case of run A, or None.
        two: The case of run B, or None.
        left: Folder of its record in A, or None.
        right: Folder of its record in B, or None.
        differences: The first difference of each part of the records, the earliest first.
        problem: Why the records could not be compared; empty where they were, or there are none.
    """

    name: str
    one: CaseRecord | None
    two: CaseRecord | None
    left: Path | None = None
    right: Path | None = None
    differences: list[Difference] = field(default_factory=list)
    problem: str = ""

    @property
    def verdict_changed(self) -> bool:
        """Whether both runs have it, with other verdicts."""
        return self.one is not None and self.two is not None and self.one.verdict is not self.two.verdict

    @property
    def same(self) -> bool:
        """Whether nothing is different, as far as could be seen."""
        both = self.one is not None and self.two is not None
        return both and not self.verdict_changed and not self.differences and not self.problem

    @property
    def word(self) -> str:
        """Say what became of it in one word."""
        if self.one is None:
            return "appeared"
        if self.two is None:
            return "vanished"
        if self.verdict_changed:
            return "verdict"
        if self.problem:
            return "unreadable"
        return "differs" if self.differences else "same"


def cases(run: RunRecord) -> dict[str, CaseRecord]:
    """Give the cases of a run by ``SUITE/CASE``, which says the same on every machine."""
    return {f"{case.suite}/{case.case}": case for case in run.cases}


def compare_runs(
    left: tuple[Path, RunRecord], right: tuple[Path, RunRecord], how: How = EXACTLY, *, records: bool = True
) -> Iterator[CaseDiff]:
    """Compare two runs, a case at a time.

    Args:
        left: Folder and contents of the run A.
        right: The same of the run B.
        how: What counts.
        records: Whether to look into the records, and not only at the verdicts.

    Yields:
        Each case that one of them has, in the order of A, then those that only B has.
    """
    ones, twos = cases(left[1]), cases(right[1])
    for name in dict.fromkeys((*ones, *twos)):
        found = CaseDiff(name, ones.get(name), twos.get(name))
        if found.one is not None and found.two is not None and records:
            compare_case(found, left[0], right[0], how)
        yield found


def compare_case(found: CaseDiff, left: Path, right: Path, how: How = EXACTLY) -> None:
    """Compare the records of one case, and put the outcome into it.

    Args:
        found: The case.
        left: Folder of the run A.
        right: Folder of the run B.
        how: What counts.
    """
    if found.one is None or found.two is None:
        return
    found.left, found.right = _record(left, found.one), _record(right, found.two)
    if found.left is None or found.right is None:
        return
    lost = [folder for folder in (found.left, found.right) if not (folder / RECORD_FILE).is_file()]
    if lost:
        found.problem = f"the record is gone: {lost[0] / RECORD_FILE} is missing"
        return
    try:
        differences = compare(found.left, found.right, times=how.times, since_ns=how.since_ns)
    except (ConfigError, OSError, ValueError, LookupError) as error:
        found.problem = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        return
    found.differences = [entry for entry in differences if how.counts(entry.where)]


def _record(run: Path, case: CaseRecord) -> Path | None:
    """Give the folder of the first record that was kept of a case."""
    return next((run / entry.folder for entry in case.executions if entry.folder is not None), None)


def environments(one: RunRecord, two: RunRecord) -> list[str]:
    """Say in which of their facts two runs differ: a line for each fact, both sides of it."""
    sides = []
    for run in (one, two):
        facts = {"seed": run.seed, "backend": run.backend, "libos": run.libos}
        facts["kernels"] = ", ".join(run.environment.get("kernels", ())) or "none"
        facts["artifacts"] = ", ".join(run.environment.get("artifacts", {})) or "none"
        facts |= {name: run.environment.get(name, "?") for name in _FACTS}
        sides.append(facts)
    return [f"{name}: {value} / {sides[1][name]}" for name, value in sides[0].items() if value != sides[1][name]]
