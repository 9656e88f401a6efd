# SPDX-License-Identifier: MIT
"""Time: sleeps, timers and clocks. A long wait costs nothing in virtual time, so none is shortened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.process_manager.behave import alone, table

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave

pytestmark = alone

SECOND = 1_000_000_000
TIGHT_NS = 4_000  # two system calls and a clock reading: less than the 5 us that have to be seen

SLEEP = {
    "second-and-five-microseconds": f"awake after {SECOND + 5_000} ns",
    "interrupted": f"interrupted after {SECOND * 3 // 2} ns\nslept and left over: {10 * SECOND} ns",
    "sleep-tells-the-rest": f"6 s were left\ninterrupted after {SECOND * 13 // 4} ns",
    "until-a-time": f"awake after {7 * SECOND} ns\nnot asleep after {7 * SECOND} ns",
    "bad-lengths": "refused after 0 ns",
}
TIMER = {
    "descriptor-counts-expirations": f"1\nfirst read after {SECOND * 3 // 2} ns\n2\nsecond read after {7 * SECOND} ns\n"
    f"1\nthird read after {9 * SECOND} ns",
    "descriptor-after-six-seconds": f"1\n2\nread after {SECOND * 15 // 2} ns",
    "descriptor-that-does-not-block": "EAGAIN, 1, EAGAIN",
    "descriptor-tells-and-stops": "next one told, stopped",
    "interval-timer": "\n".join(f"alarm after {SECOND // 2 + 2 * SECOND * count} ns" for count in range(3)),
    "alarm-replaces-alarm": f"90 s were left\nalarm after {15 * SECOND} ns",
    "posix-timer-signals": f"value 42, overrun 0\ntaken after {SECOND * 3 // 2} ns\n"
    f"value 42, overrun 0\ntaken after {4 * SECOND} ns",
    "posix-timer-overruns": f"value 42, overrun 9\ntaken after {SECOND * 21 // 2} ns",
    "posix-timer-calls-in-a-thread": f"called after {2 * SECOND} ns\nvalue 7",
}
CLOCK = {
    "never-backwards": "a thousand readings, each later",
    "resolution": "0.000000001 s\n0.000000001 s",
    "calls-agree": "the same time of day",
    "sleeping-takes-no-processor": "hardly any",
    "time-zones": "Thu 1970-01-01 00:00:00 UTC +0000 001\nTue 2000-02-29 00:00:00 UTC +0000 060\n"
    "Sun 2024-03-31 01:59:59 CET +0100 091\nSun 2024-03-31 03:00:00 CEST +0200 091\n"
    "Thu 2099-12-31 19:00:00 EST -0500 365\n1709210096\n760064400",
}


@table(SLEEP)
def test_sleep(behave: Behave, behaviour: str, expected: str) -> None:
    """How long a sleep is, to the microsecond, and what ends it early (nanosleep(2))."""
    behave("time-sleep", behaviour, expected=expected, late_ns=TIGHT_NS if "five" in behaviour else 20_000)


def test_sleep_of_nanoseconds(behave: Behave) -> None:
    """Lengths from 1 ns to 10 us are slept in full; the timer slack of a node's processes is 1 ns."""
    expected = "\n".join(f"awake after {10**power} ns" for power in range(5))
    behave("time-sleep", "single-nanoseconds", expected=expected, late_ns=10_000)


@pytest.mark.real_time_budget(24 * 3600)
def test_sleep_of_a_day(behave: Behave) -> None:
    """A day is as long as it should be, to the microsecond."""
    done = behave("time-sleep", "a-day", expected=f"awake after {24 * 3600 * SECOND} ns", late_ns=TIGHT_NS)
    assert done.duration_s == pytest.approx(24 * 3600, abs=0.01)


@table(TIMER)
@pytest.mark.real_time_budget(30)
def test_timer(behave: Behave, behaviour: str, expected: str) -> None:
    """Timers of a descriptor, of a process and of POSIX (timerfd_create(2), setitimer(2), timer_create(2))."""
    behave("time-timer", behaviour, expected=expected)


@pytest.mark.real_time_budget(3600)
def test_timer_at_a_time_of_day(behave: Behave) -> None:
    """A timer of the clock of the day, set to a time an hour ahead."""
    behave("time-timer", "descriptor-at-a-time-of-day", expected=f"an hour after {3600 * SECOND} ns")


@pytest.mark.real_time_budget(100)
def test_clocks(behave: Behave) -> None:
    """What clocks tell of themselves, and times as text (clock_gettime(2), strftime(3))."""
    behave.each("time-clock", CLOCK)


@pytest.mark.real_time_budget(3600)
def test_clocks_advance_alike(behave: Behave) -> None:
    """In an hour every clock advances by an hour."""
    clocks = (0, 1, 4, 7, 11)  # CLOCK_REALTIME, _MONOTONIC, _MONOTONIC_RAW, _BOOTTIME, _TAI
    behave(
        "time-clock",
        "clocks-advance-alike",
        expected="\n".join(f"clock {clock} after {3600 * SECOND} ns" for clock in clocks),
    )


def test_time_of_day_is_that_of_the_network(behave: Behave) -> None:
    """A network begins on 2024-01-01 at midnight (UTC), where its time is virtual."""
    if not behave.network.virtual_time:
        pytest.skip("the time of day is the host's on a backend in real time")
    behave.network.sleep_until(90 * 60 + 1)
    behave("time-clock", "time-of-day", expected="2024-01-01 01:30")
