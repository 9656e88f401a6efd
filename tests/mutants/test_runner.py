# SPDX-License-Identifier: MIT
"""The check fires: on what survives, does not build, only crashes, or fails without the mutant too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from testbed.errors import BuildError, ExitCode, InternalError
from testbed.harness.records import CaseRecord, RunRecord
from testbed.verdict import Verdict
from tests.mutants import page
from tests.mutants.runner import Check, report
from tests.mutants.trial import judge, run_cases

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.mutants.conftest import DefaultKernels
    from tests.mutants.mutant import Mutant

SOUND = frozenset({"suites/x::a", "suites/x::b"})


def run_of(*verdicts: Verdict, problems: tuple[str, ...] = ()) -> RunRecord:
    """Make a run whose cases a, b, ... have these verdicts."""
    cases = [
        CaseRecord(f"suites/x::{name}", "x", f"test_x.{name}", verdict=verdict, reason="because")
        for name, verdict in zip("abcdef", verdicts, strict=False)
    ]
    return RunRecord("finished", "", [], 1, 1, "timetravel", "linux", {}, problems=list(problems), cases=cases)


def test_mutant_that_changes_nothing_is_reported_as_survived(
    default_kernels: DefaultKernels, plant: Callable[..., Mutant], tmp_path: Path
) -> None:
    mutant, said = plant("no-op"), list[str]()
    check = Check([mutant], default_kernels, said.append)
    [finding] = check.run()
    assert finding.problem == "survived: 2 cases passed (suites/udp_simple/test_udp_simple.py)"
    assert (default_kernels.built, default_kernels.discarded) == (["base", "no-op"], 2)
    assert report(check, [finding], [mutant], tmp_path / "page.md") == ExitCode.FAILED
    assert said[-2:] == [f"FAIL no-op: {finding.problem}", "1 mutants, 0 found, 1 not"]
    assert page.read(tmp_path / "page.md") == {}


def test_mutant_without_a_kernel_is_reported(
    default_kernels: DefaultKernels, plant: Callable[..., Mutant], tmp_path: Path
) -> None:
    default_kernels.failure = BuildError("patch no-op.patch does not apply:\n  net/core/dev.c: hunk #1 fails at line 1")
    mutant, said = plant("no-op"), list[str]()
    check = Check([mutant], default_kernels, said.append)
    [finding] = check.run()
    assert finding.problem.startswith("no kernel: patch no-op.patch does not apply:")
    assert report(check, [finding], [mutant], tmp_path / "page.md") == ExitCode.FAILED


def test_cases_that_cannot_be_collected_are_an_error(default_kernels: DefaultKernels) -> None:
    kernel = default_kernels.build("base", [])
    with pytest.raises(InternalError, match=r"^pytest could not run suites/no-such-file\.py \(exit code 4\)"):
        run_cases(["suites/no-such-file.py"], kernel, default_kernels.runs / "x", first_failure=True)


def test_failed_assertion_finds_a_mutant_and_the_first_one_is_named(plant: Callable[..., Mutant]) -> None:
    finding = judge(plant("m"), run_of(Verdict.PASSED, Verdict.FAILED, Verdict.NOT_RUN), SOUND)
    assert (finding.case, finding.problem) == ("test_x.b", "")


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("h2: receiver: still runs after waiting 10 s", ""),
        (
            "the guest made no progress for 30 s of wall time",
            "test_x.a ended as timed out, not by an assertion: the guest made no progress for 30 s of wall time",
        ),
    ],
    ids=["virtual", "wall"],
)
def test_end_of_patience_finds_a_mutant_in_virtual_time_only(
    plant: Callable[..., Mutant], reason: str, problem: str
) -> None:
    run = run_of(Verdict.TIMED_OUT)
    run.cases[0].reason = reason
    assert judge(plant("m"), run, SOUND).problem == problem


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (run_of(Verdict.PASSED, Verdict.SKIPPED), r"^survived: 1 cases passed \(suites/udp_simple/"),
        (run_of(Verdict.SKIPPED), r"^not one case ran$"),
        (run_of(), r"^not one case ran$"),
        (run_of(Verdict.CRASHED), r"^test_x\.a ended as crashed, not by an assertion: because$"),
        (run_of(Verdict.PASSED, Verdict.PASSED, Verdict.FAILED), r"^test_x\.c does not pass without the mutant"),
        (run_of(Verdict.FAILED, problems=("no disk",)), r"^the run has problems of its own: no disk$"),
    ],
    ids=["survived", "skipped", "nothing", "crashed", "unsound", "problems"],
)
def test_what_is_no_finding_says_why(plant: Callable[..., Mutant], run: RunRecord, problem: str) -> None:
    assert re.search(problem, judge(plant("m"), run, SOUND).problem)


def test_report_of_what_was_found_is_a_page_and_zero(
    default_kernels: DefaultKernels, plant: Callable[..., Mutant], tmp_path: Path
) -> None:
    mutant, said = plant("m"), list[str]()
    check = Check([mutant], default_kernels, said.append)
    check.seconds["m"] = 12.4
    finding = judge(mutant, run_of(Verdict.FAILED), SOUND)
    assert report(check, [finding], [mutant], tmp_path / "page.md") == ExitCode.OK
    assert page.read(tmp_path / "page.md") == {
        "m": page.Row("m", "nothing is wrong", "udp-simple", "test_x.a", 12),
    }
    assert said == ["page.md is brought up to date", "1 mutants, 1 found, 0 not"]
