# SPDX-License-Identifier: MIT
"""A run counted by suites: what the terminal, the job summary and the badges say of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.harness.rerun import IN_REAL_TIME
from testbed.verdict import Verdict, is_bad, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.harness.records import CaseRecord, RunRecord

_NOT_COMPARED = frozenset({Verdict.NON_DETERMINISTIC, Verdict.TIMED_OUT, Verdict.CRASHED, Verdict.ERROR})


@dataclass(frozen=True)
class Tally:
    """Some cases, counted.

    Args:
        name: Of the suite, or of the run.
        cases: How many.
        counts: How many of each verdict, the best first; only those that occur.
        verdict: The worst.
        identical: Executions of each case that agreed to the bit; 0 where not all did, or nothing was compared.
        compared_in_part: Cases that left something out of their digest.
        virtual_s, wall_s: Sums over all executions, s.
    """

    name: str
    cases: int
    counts: dict[Verdict, int]
    verdict: Verdict
    identical: int
    compared_in_part: int
    virtual_s: float
    wall_s: float

    @property
    def word(self) -> str:
        """Say PASS, FAIL, STOP (not all was run) or SKIP (nothing was)."""
        if is_bad(self.verdict):
            return "FAIL"
        if self.verdict is Verdict.NOT_RUN:
            return "STOP"
        return "PASS" if self.counts.keys() & {Verdict.PASSED, Verdict.XFAILED} else "SKIP"

    @property
    def bad(self) -> int:
        """Count what makes a run fail."""
        return sum(count for verdict, count in self.counts.items() if is_bad(verdict))

    @property
    def in_words(self) -> str:
        """Say how many there are of each verdict, the worst first: ``1 crashed, 20 passed``."""
        return ", ".join(f"{count} {verdict}" for verdict, count in reversed(self.counts.items())) or "no cases"


def tally(name: str, cases: Sequence[CaseRecord]) -> Tally:
    """Count cases."""
    seen = Counter(case.verdict for case in cases)
    return Tally(
        name=name,
        cases=len(cases),
        counts={verdict: seen[verdict] for verdict in _from_best_to_worst(seen)},
        verdict=worst(case.verdict for case in cases),
        identical=_identical([case for case in cases if case.executions or case.verdict is Verdict.PASSED]),
        compared_in_part=sum(bool(case.left_out) for case in cases),
        virtual_s=sum(case.virtual_s for case in cases),
        wall_s=sum(case.wall_s for case in cases),
    )


def by_suite(run: RunRecord) -> list[Tally]:
    """Count each suite, in the order of their first case."""
    suites: dict[str, list[CaseRecord]] = {}
    for case in run.cases:
        suites.setdefault(case.suite, []).append(case)
    return [tally(name, cases) for name, cases in suites.items()]


def by_libos(run: RunRecord) -> list[Tally]:
    """Count each LibOS, in the order of their names; none where a run has only cases of the kernel's own."""
    names = sorted({case.libos for case in run.cases if case.libos})
    return [tally(name, [case for case in run.cases if case.libos == name]) for name in names]


def expected_failures(run: RunRecord) -> list[tuple[str, str, int]]:
    """Give the reasons of the failures that were expected: LibOS or suite, reason, number of cases."""
    found = Counter(
        (case.libos or case.suite, case.reason or "no reason given")
        for case in run.cases
        if case.verdict is Verdict.XFAILED
    )
    return [(who, reason, count) for (who, reason), count in sorted(found.items())]


def clock_word(run: RunRecord) -> str:
    """Say what the network's clock of a run was: ``virtual`` time, or ``network`` time, as real as the wall's."""
    return "network" if run.backend in IN_REAL_TIME else "virtual"


def _from_best_to_worst(seen: Counter[Verdict]) -> list[Verdict]:
    left, order = set(seen), []
    while left:
        last = worst(left)
        left.discard(last)
        order.append(last)
    return order[::-1]


def _identical(cases: Sequence[CaseRecord]) -> int:
    compared = [case for case in cases if len(case.executions) > 1]
    if not compared or any(case.digest is None or case.verdict in _NOT_COMPARED for case in compared):
        return 0
    return min(len(case.executions) for case in compared)
