# SPDX-License-Identifier: MIT
"""How verdicts of several cases become one exit code."""

from __future__ import annotations

import itertools

import pytest

from testbed.errors import ExitCode
from testbed.verdict import Verdict, exit_code, is_bad, worst

BAD = {
    Verdict.NON_DETERMINISTIC: ExitCode.FAILED,
    Verdict.FAILED: ExitCode.FAILED,
    Verdict.TIMED_OUT: ExitCode.CRASHED,
    Verdict.CRASHED: ExitCode.CRASHED,
    Verdict.ERROR: ExitCode.INTERNAL,
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations_with_replacement(Verdict, 2)))
def test_exit_code_of_every_pair(one: Verdict, other: Verdict) -> None:
    """Zero needs a pass, and neither a bad verdict nor a case that was not run."""
    seen = {one, other}
    code = exit_code([one, other])
    bad = worst(seen & BAD.keys())
    if bad in BAD:
        assert code is BAD[bad]
    elif seen & {Verdict.PASSED, Verdict.XFAILED}:
        assert code is (ExitCode.FAILED if Verdict.NOT_RUN in seen else ExitCode.OK)
    else:
        assert code is ExitCode.NOTHING_RAN


def test_bad_verdicts_are_those_that_fail_a_run() -> None:
    assert {verdict for verdict in Verdict if is_bad(verdict)} == set(BAD)


def test_nothing_at_all_is_not_run() -> None:
    assert worst([]) is Verdict.NOT_RUN
    assert exit_code([]) is ExitCode.NOTHING_RAN
