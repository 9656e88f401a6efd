# SPDX-License-Identifier: MIT
"""The lines of suites and skips, from made-up runs."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from testbed.harness.records import CaseRecord, ExecutionRecord, RunRecord
from testbed.reports.terminal import skip_lines, suite_lines
from testbed.verdict import Verdict

if TYPE_CHECKING:
    from tests.harness.inner import Inner

DIGEST = "0" * 64


def case(suite: str, verdict: Verdict, *, executions: int = 2, virtual_s: float = 0.0, reason: str = "") -> CaseRecord:
    ran = [
        ExecutionRecord(number, verdict, reason, DIGEST, virtual_s, 0.5, None) for number in range(1, executions + 1)
    ]
    return CaseRecord(
        f"{suite}::x", suite, "x", verdict, reason, 1, DIGEST, [], ran, None, virtual_s * executions, 0.5 * executions
    )


def lines(*cases: CaseRecord, kinds: dict[str, str] | None = None) -> list[str]:
    run = RunRecord("finished", "", [], 1, 2, "timetravel", "linux", {}, cases=list(cases))
    return [line for line, _ in suite_lines(run, kinds or {})]


def test_passing_suite_has_the_promised_line() -> None:
    cases = [case("netlink-socket", Verdict.PASSED, virtual_s=7.529) for _ in range(34)]
    assert lines(*cases) == ["PASS: TestSuite netlink-socket     34 cases  2x identical   512.0 virtual s in 34.0 s"]


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        ([Verdict.PASSED, Verdict.SKIPPED], "PASS"),
        ([Verdict.PASSED, Verdict.XFAILED], "PASS"),
        ([Verdict.SKIPPED], "SKIP"),
        ([Verdict.NOT_RUN], "STOP"),
        ([Verdict.PASSED, Verdict.NOT_RUN], "STOP"),
        ([Verdict.PASSED, Verdict.CRASHED], "FAIL"),
        ([Verdict.PASSED, Verdict.NON_DETERMINISTIC], "FAIL"),
        ([Verdict.PASSED, Verdict.ERROR], "FAIL"),
    ],
)
def test_worst_verdict_decides_the_word(verdicts: list[Verdict], word: str) -> None:
    (line,) = lines(*[case("mptcp", verdict) for verdict in verdicts])
    assert line.startswith(f"{word}: TestSuite mptcp ")


def test_example_is_called_so_and_one_execution_promises_nothing() -> None:
    (line,) = lines(case("tcp-simple", Verdict.PASSED, executions=1), kinds={"tcp-simple": "Example"})
    assert line == "PASS: Example tcp-simple            1 case   0.0 virtual s in 0.5 s"


def test_suite_with_a_difference_does_not_say_identical() -> None:
    bad = case("mptcp", Verdict.NON_DETERMINISTIC)
    bad.difference, bad.digest = "first difference: ...", None
    (line,) = lines(case("mptcp", Verdict.PASSED), bad)
    assert "identical" not in line
    assert line.endswith(", 1 non-deterministic")


def test_skips_are_counted_by_reason() -> None:
    skipped = [case("mptcp", Verdict.SKIPPED, reason="no sctp") for _ in range(2)]
    assert skip_lines([*skipped, case("mptcp", Verdict.PASSED)]) == ["SKIP: mptcp [2] no sctp"]


def on_a_terminal(inner: Inner, **environment: str) -> str:
    """Run the inner suite with a pseudo-terminal as its stdout, and give all that it was sent."""
    master, slave = pty.openpty()
    words = ["--backend", "fake", "--run-dir", str(inner.run_dir), "--testbed-terminal", "-p", "no:cacheprovider"]
    variables = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *words], stdout=slave, stderr=slave, env=variables | environment
    ) as child:
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):  # EIO: the other side is gone
            while data := os.read(master, 65536):
                text += data
        os.close(master)
        assert child.wait(timeout=30) == 1
    return text.decode()


SUITE = """
    def test_ok(network):
        network["h1"].run(["echo", "x"])

    def test_bad(network):
        assert network["h1"].run(["echo", "x"]) == "y"
"""


def test_terminal_shows_a_bar_that_goes_away(inner: Inner) -> None:
    inner.suite(SUITE)
    text = on_a_terminal(inner, TERM="xterm")
    assert "0/2" in text
    assert "\x1b[2K" in text  # the bar was erased
    assert text.index("FAILED: mini-suite test_it.test_bad: AssertionError") < text.index("FAIL: TestSuite mini-suite")


def test_no_color_gives_plain_lines(inner: Inner) -> None:
    inner.suite(SUITE)
    text = on_a_terminal(inner, TERM="xterm", NO_COLOR="1")
    assert "\x1b" not in text
    assert "FAIL: TestSuite mini-suite" in text
    assert re.search(r"^1 failed, 1 passed in [\d.]+s\r$", text, re.MULTILINE)


def test_the_bar_says_how_long_is_left_from_the_last_time(inner: Inner) -> None:
    inner.suite(SUITE)
    assert "s left" not in on_a_terminal(inner, TERM="xterm").partition("1/2")[0]
    inner.run_dir = inner.run_dir.with_name("again")
    assert "about 1 s left" in on_a_terminal(inner, TERM="xterm").partition("1/2")[0]


def test_without_a_terminal_a_line_tells_now_and_again(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    inner.suite(SUITE)
    assert "of 2 cases" not in inner.run("--testbed-terminal").stdout.str()
    monkeypatch.setattr("testbed.reports.terminal.HEARTBEAT_S", 0.0)
    inner.run_dir = inner.run_dir.with_name("again")
    text = inner.run("--testbed-terminal").stdout.str()
    assert re.search(r"^1 of 2 cases, \d+ s, about 1 s left, test_it.py::test_bad$", text, re.MULTILINE)
