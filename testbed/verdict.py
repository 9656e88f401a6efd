# SPDX-License-Identifier: MIT
"""What can be said of a case, and how several words become one: the worst wins."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from testbed.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(enum.StrEnum):
    """The verdict of one case, in the words that every report uses."""

    PASSED = "passed"
    XFAILED = "xfailed"
    SKIPPED = "skipped"
    NOT_RUN = "not run"
    FAILED = "failed"
    NON_DETERMINISTIC = "non-deterministic"
    TIMED_OUT = "timed out"
    CRASHED = "crashed"
    ERROR = "error"


# From best to worst. A skip hides nothing that ran, so it is worse than a pass; an error of the harness is worst,
# because nothing that stands beside it can be trusted.
_ORDER = (
    Verdict.PASSED,
    Verdict.XFAILED,
    Verdict.SKIPPED,
    Verdict.NOT_RUN,
    Verdict.NON_DETERMINISTIC,
    Verdict.FAILED,
    Verdict.TIMED_OUT,
    Verdict.CRASHED,
    Verdict.ERROR,
)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Combine the verdicts of several executions or sides; nothing at all is NOT_RUN."""
    return max(verdicts, key=_ORDER.index, default=Verdict.NOT_RUN)


def is_bad(verdict: Verdict) -> bool:
    """Say whether a verdict makes a run fail."""
    return _ORDER.index(verdict) >= _ORDER.index(Verdict.NON_DETERMINISTIC)


def exit_code(verdicts: Iterable[Verdict]) -> ExitCode:
    """Give the exit code of a run from the verdicts of its cases.

    Zero needs at least one pass and no case that was left out on the way; a run in which all was skipped, or nothing
    ran, is ``NOTHING_RAN``.
    """
    seen = set(verdicts)
    if Verdict.ERROR in seen:
        return ExitCode.INTERNAL
    if seen & {Verdict.CRASHED, Verdict.TIMED_OUT}:
        return ExitCode.CRASHED
    if any(is_bad(verdict) for verdict in seen):
        return ExitCode.FAILED
    if seen & {Verdict.PASSED, Verdict.XFAILED}:
        return ExitCode.FAILED if Verdict.NOT_RUN in seen else ExitCode.OK
    return ExitCode.NOTHING_RAN
