# SPDX-License-Identifier: MIT
"""Options for rare occasions: hints name them, so that `run` and `make test` have them, without `--`."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.cli.main import call

DEFAULTS = ["--stall", "30", "--wall-limit", "900"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Give the words that pytest gets, of each run; nothing is built and none begins."""
    seen: list[list[str]] = []

    def run_suites(*_: Any, pytest_args: list[str], **__: Any) -> int:
        seen.append(list(pytest_args))
        return 0

    monkeypatch.setattr("testbed.harness.plan.run_suites", run_suites)
    monkeypatch.setattr("testbed.cli.run.set_up", lambda *_: None)
    monkeypatch.setattr("testbed.cli.make.test.set_up", lambda *_: None)
    return seen


@pytest.mark.parametrize("words", [("run", "mptcp"), ("make", "test", "-s", "mptcp")])
def test_what_hints_name_is_an_option(asked: list[list[str]], words: tuple[str, ...]) -> None:
    assert call([*words]) == 0
    given = ["--stall", "2.5", "--wall-limit", "60", "--spin-ms", "10", "--no-captures"]
    required = ["--require", "sctp,mptcp", "--require", "netns"]
    assert call([*words, *given, *required]) == 0
    assert asked == [DEFAULTS, [*given, *required]]


def test_words_of_pytest_come_last_and_win(asked: list[list[str]]) -> None:
    assert call(["run", "mptcp", "--no-captures", "--", "-k", "one", "--stall", "5"]) == 0
    assert asked == [[*DEFAULTS, "--no-captures", "-k", "one", "--stall", "5"]]


@pytest.mark.parametrize("words", [("--spin-ms", "0"), ("--stall", "0"), ("--wall-limit", "x")])
def test_a_limit_that_is_none_is_refused(asked: list[list[str]], words: tuple[str, ...]) -> None:
    assert call(["run", "mptcp", *words]) == 4
    assert asked == []
