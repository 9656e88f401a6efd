# SPDX-License-Identifier: MIT
"""What a test raised is in ``run.json``: the traceback with its source, and the line of the test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.harness import failures
from testbed.harness.failures import shortened
from testbed.harness.records import Failure, load_run

if TYPE_CHECKING:
    from tests.harness.inner import Inner


def failure(inner: Inner) -> Failure:
    """Give the failure of the only case, as a reader of the run gets it."""
    (case,) = load_run(inner.run_dir).cases
    assert case.failure is not None
    return case.failure


def test_assertion_is_kept_with_its_line(inner: Inner) -> None:
    inner.suite("""
    def check(text):
        assert text == "other"

    def test_it(network):
        text = network["h1"].run(["echo", "word"])
        check(text)
    """)
    assert inner.run().ret == 1
    found = failure(inner)
    assert (found.file, found.line) == ("suites/mini_suite/test_it.py", 3)
    assert '>       assert text == "other"' in found.text
    assert "E       AssertionError: assert 'word' == 'other'" in found.text


def test_case_without_a_network_has_its_failure_too(inner: Inner) -> None:
    inner.suite("""
    def test_it():
        assert 1 + 1 == 3
    """)
    assert inner.run().ret == 1
    assert (failure(inner).file, failure(inner).line) == ("suites/mini_suite/test_it.py", 3)


def test_a_pass_that_is_judged_bad_raised_nothing(inner: Inner) -> None:
    inner.suite("""
    def test_it(network):
        network["h1"].run(["warn"])
    """)
    assert inner.run().ret == 6
    assert inner.case()["failure"] is None


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("how", ["panic", "hang"])
def test_a_death_is_told_from_outside(inner: Inner, monkeypatch: pytest.MonkeyPatch, how: str, *, debug: bool) -> None:
    """The line of the test and the cause; our own frames (here those of the fake backend) on wish."""
    monkeypatch.setattr(failures, "package_dir", lambda: Path(__file__).parent)
    monkeypatch.setenv("TESTBED_DEBUG", "1" if debug else "")
    inner.suite(f"""
    def test_it(network):
        network["h1"].run(["{how}"])
    """)
    assert inner.run().ret == 6
    found = failure(inner)
    assert (found.file, found.line) == ("suites/mini_suite/test_it.py", 3)
    assert f'>       network["h1"].run(["{how}"])' in found.text or debug
    assert ("fake_backend.py" in found.text) == debug
    assert {"panic": "Kernel panic - not syncing", "hang": "made no progress"}[how] in found.text


def test_long_text_loses_its_middle() -> None:
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("a" * 5 + "b" * 7 + "c" * 5, 10) == "aaaaa\n[... 7 characters left out ...]\nccccc"
