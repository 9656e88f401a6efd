# SPDX-License-Identifier: MIT
"""The comparison of what programs print, with times, of the process-manager suite."""

from __future__ import annotations

import pytest

from suites.process_manager.behave import compare

SECOND = 1_000_000_000
LATE_NS = 1000


def test_the_same_is_the_same() -> None:
    compare("one\ntwo\n", "one\ntwo\n", late_ns=0)


def test_other_text_is_found() -> None:
    with pytest.raises(AssertionError):
        compare("one\n", "two\n", late_ns=LATE_NS)


@pytest.mark.parametrize("late_ns", [0, LATE_NS])
def test_a_time_may_be_a_little_late(late_ns: int) -> None:
    compare(f"awake after {SECOND + late_ns} ns\n", f"awake after {SECOND} ns\n", late_ns=LATE_NS)


@pytest.mark.parametrize("late_ns", [-1, LATE_NS + 1])
def test_a_time_that_is_early_or_too_late_is_found(late_ns: int) -> None:
    with pytest.raises(AssertionError, match=rf"{SECOND + late_ns} ns instead of {SECOND} ns"):
        compare(f"awake after {SECOND + late_ns} ns\n", f"awake after {SECOND} ns\n", late_ns=LATE_NS)


def test_a_time_out_of_the_wheel_depends_on_when_it_began() -> None:
    # Seen in a guest of 100 jiffies per second: 1.5 s from 2.56 s on, and from 5.00 s on.
    expected = f"gave up after {SECOND * 3 // 2} ns from 0 ns\n"
    compare("gave up after 1519692544 ns from 2560310016 ns\n", expected, late_ns=5000)
    compare("gave up after 1555881728 ns from 5004120832 ns\n", expected, late_ns=5000)
    with pytest.raises(AssertionError, match="instead of"):
        compare("gave up after 1500000000 ns from 5004120832 ns\n", expected, late_ns=5000)


def test_a_time_out_that_is_missing_is_found() -> None:
    with pytest.raises(AssertionError):
        compare("gave up\n", "gave up after 5 ns from 0 ns\n", late_ns=5000)


@pytest.mark.parametrize(("length", "passes"), [(1500, True), (1687, True), (1499, False), (1689, False)])
def test_a_time_out_of_an_unknown_wheel_is_an_eighth_longer_at_most(length: int, *, passes: bool) -> None:
    found, expected = f"gave up after {length} ns from 77 ns\n", "gave up after 1500 ns from 0 ns\n"
    if passes:
        compare(found, expected, late_ns=0, virtual=False)
        return
    with pytest.raises(AssertionError, match=f"{length} ns from 77 ns on instead of 1500 ns"):
        compare(found, expected, late_ns=0, virtual=False)
