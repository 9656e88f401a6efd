# SPDX-License-Identifier: MIT
"""The survey over seeds: every failure is counted, named, and fails it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from suites.conftest import COMPLETE
from testbed.errors import ConfigError, ExitCode, InternalError
from testbed.verdict import Verdict
from tests.seeds.survey import SUITES, Survey, parse_seeds, run_suite, table

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.harness.records import RunRecord


def run(*verdicts: Verdict) -> RunRecord:
    cases = [  # no more of a case is looked at
        SimpleNamespace(suite="cradle", case=f"test_x.test_{number}", verdict=verdict, reason="assert 1 == 2")
        for number, verdict in enumerate(verdicts)
    ]
    return cast("RunRecord", SimpleNamespace(cases=cases))


def survey(by_seed: dict[int, RunRecord]) -> tuple[Survey, list[str]]:
    said: list[str] = []
    made = Survey(list(by_seed), ["cradle"], lambda seed, _: by_seed[seed], said.append)
    made.run()
    return made, said


def test_all_passed_is_good() -> None:
    made, said = survey({1: run(Verdict.PASSED, Verdict.PASSED), 2: run(Verdict.PASSED, Verdict.SKIPPED)})
    assert made.exit_code is ExitCode.OK
    assert table(made.cells) == ["| seed | cradle |", "| --- | --- |", "| 1 | 2 |", "| 2 | 1, 1 skipped |"]
    assert said[0].startswith("[1/2] seed 1, cradle: 2 (")


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.CRASHED, Verdict.TIMED_OUT, Verdict.ERROR])
def test_one_bad_case_with_one_seed_fails_it_and_is_named(verdict: Verdict) -> None:
    made, said = survey({1: run(Verdict.PASSED), 7: run(Verdict.PASSED, verdict), 8: run(Verdict.PASSED)})
    assert made.exit_code is ExitCode.FAILED
    assert "    cradle test_x.test_1: assert 1 == 2" in said
    assert table(made.cells)[3:] == [f"| 7 | 1, 1 {verdict} |", "| 8 | 1 |"]


@pytest.mark.parametrize(
    "nothing",
    [run(), run(Verdict.SKIPPED), run(Verdict.PASSED, Verdict.NOT_RUN)],
    ids=["no-case", "all-skipped", "cut-off"],
)
def test_passing_on_nothing_is_no_pass(nothing: RunRecord) -> None:
    assert survey({1: nothing})[0].exit_code is ExitCode.FAILED


def test_survey_that_did_not_run_is_no_pass() -> None:
    assert Survey([1], ["cradle"], lambda *_: run(), print).exit_code is ExitCode.FAILED
    assert Survey([], ["cradle"], lambda *_: run(), print).exit_code is ExitCode.FAILED


def test_suites_are_those_that_must_be_complete() -> None:
    assert sorted(name.replace("-", "_") for name in SUITES) == sorted(COMPLETE)


def test_unknown_suite_names_a_near_one() -> None:
    with pytest.raises(ConfigError, match=r"^'cradel' is no suite of the kernel; did you mean 'cradle'\?$"):
        Survey([1], ["cradel"], lambda *_: run(), print)


@pytest.mark.parametrize(
    ("text", "seeds"), [("1-3", [1, 2, 3]), ("5", [5]), ("1-2,7,9-10", [1, 2, 7, 9, 10]), ("0", [0])]
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(("text", "part"), [("", ""), ("3-1", "3-1"), ("1,x", "x"), ("-3", "-3"), ("1-2-3", "1-2-3")])
def test_other_words_are_no_seeds(text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=f"^--seeds {text}: wanted numbers and ranges, found '{part}'"):
        parse_seeds(text)


def test_run_that_never_was_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match=r"(?s)there is no run of cradel with seed 1 .*cradel"):
        run_suite(1, "cradel", 0, tmp_path)


def test_one_suite_is_run_with_its_seed(tmp_path: Path) -> None:
    found = run_suite(7, "ip6-tunnels", 2, tmp_path)
    assert (found.seed, found.repeat) == (7, 1)
    assert {case.verdict for case in found.cases} == {Verdict.PASSED}
