# SPDX-License-Identifier: MIT
"""check: every step runs, failures are named at the end, and pytest's counts close it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import typer

from testbed.cli import check
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def _step(name: str, code: str) -> check.Step:
    return check.Step(name, (sys.executable, "-c", code))


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(check, "checkout", lambda: tmp_path)
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))


def test_a_failure_stops_nothing_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = (
        _step("first", "import sys; sys.exit(3)"),
        check.Step("absent", ("no-such-program-here",)),
        _step("last", "print('7 passed, 1 skipped in 0.52s')"),
    )
    monkeypatch.setattr(check, "steps", lambda: steps)
    with pytest.raises(typer.Exit) as raised:
        check.check()
    assert raised.value.exit_code == 1
    lines = capsys.readouterr().out.splitlines()
    assert "no-such-program-here is not installed: ./testbed.sh installs what is missing" in lines
    assert [line.split()[:2] for line in lines[-5:-2]] == [["FAIL", "first"], ["FAIL", "absent"], ["ok", "last"]]
    assert lines[-2].endswith("failed: first, absent")
    assert lines[-1] == "7 passed, 1 skipped in 0.52s"


def test_all_good_is_no_exit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check, "steps", lambda: (_step("one", ""), _step("two", "")))
    check.check(["two"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 checks in ")


def test_the_second_time_it_says_how_long_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "steps", lambda: (_step("one", ""), _step("two", "")))
    check.check()
    assert "left" not in capsys.readouterr().err
    check.check()
    said = capsys.readouterr().err
    assert "(step 1 of 2, about 1 s left)" in said
    assert "(step 2 of 2, about 1 s left)" in said


def test_a_step_that_must_be_named_runs_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = check.Step("slow", (sys.executable, "-c", "import sys; sys.exit(1)"), by_name=True)
    monkeypatch.setattr(check, "steps", lambda: (_step("one", ""), slow))
    check.check()
    with pytest.raises(typer.Exit):
        check.check(["slow"])


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("7 passed in 0.52s", "7 passed in 0.52s"),
        (
            "==== 1 failed, 70 passed, 2 skipped in 61.20s (0:01:01) ====",
            "1 failed, 70 passed, 2 skipped in 61.20s (0:01:01)",
        ),
        ("2 errors in 0.10s", "2 errors in 0.10s"),
        ("all 7 passed in time", None),
    ],
)
def test_pytest_s_closing_line_is_recognised(line: str, found: str | None) -> None:
    match = check._SUMMARY.match(line)
    assert (match[1] if match else None) == found


def test_mutants_are_a_step_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[tuple[str, ...]] = []

    def mutation(names: list[str], parts: list[str]) -> check.Step:
        chosen.append((*names, *parts))
        return _step("mutants", "")

    monkeypatch.setattr(check, "mutation", mutation)
    monkeypatch.setattr(check, "steps", lambda: (_step("one", "import sys; sys.exit(1)"),))
    check.check(["tcp-rto-floor"], mutants=True, parts=["sctp"])
    assert chosen == [("tcp-rto-floor", "sctp")]


def test_mutants_are_chosen_by_name_and_part() -> None:
    step = check.mutation(["a", "b"], ["c", "d"])
    assert step.argv[1:] == ("-m", "tests.mutants", "-k", "c", "-k", "d", "--", "a", "b")


def test_seeds_run_by_name_only_and_take_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [step.by_name for step in check.steps() if step.name == "seeds"] == [True]
    assert check.seeds_step("1-5,8", ["mptcp", "cradle"]).argv[1:] == (
        "-m", "tests.seeds", "--seeds", "1-5,8", "-s", "mptcp", "-s", "cradle",
    )  # fmt: skip
    ran: list[tuple[str, ...]] = []

    def run(step: check.Step, _root: object, _forecast: str) -> check.Outcome:
        ran.append(step.argv[1:])
        return check.Outcome(step, 0, 1.0, None)

    monkeypatch.setattr(check, "_run", run)
    check.check(["seeds"])
    check.check(["seeds"], seeds="3")
    assert ran == [("-m", "tests.seeds"), ("-m", "tests.seeds", "--seeds", "3")]


@pytest.mark.parametrize("names", [None, ["ruff"], ["seeds", "ruff"]])
def test_seeds_without_their_step_are_refused(names: list[str] | None) -> None:
    with pytest.raises(ConfigError, match=r"^--seeds and --suite are for the step seeds alone"):
        check.check(names, seeds="1-5")


def test_part_of_a_name_is_for_mutants_only() -> None:
    with pytest.raises(ConfigError, match=r"^-k chooses mutants"):
        check.check(parts=["sctp"])
