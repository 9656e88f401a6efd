# SPDX-License-Identifier: MIT
"""The model of the kernel's timer wheel: never early, and late by an eighth at most."""

from __future__ import annotations

import pytest

from suites.common.timer_wheel import HZ, fires_s, jiffies_of


@pytest.mark.parametrize(
    ("armed_s", "timeout_s", "fires"), [(1.31, 0.48, 1.80), (1.80, 0.96, 2.80), (4.80, 3.84, 8.72)]
)
def test_times_are_those_that_a_guest_showed(armed_s: float, timeout_s: float, fires: float) -> None:
    assert fires_s(armed_s, timeout_s) == pytest.approx(fires, abs=1e-9)


@pytest.mark.parametrize("timeout_s", [0.01, 0.62, 0.63, 5.03, 5.04, 40.0, 120.0, 3600.0, 86400.0])
def test_timer_is_never_early_and_an_eighth_late_at_most(timeout_s: float) -> None:
    for armed_s in (0.0, 0.123456, 17.5, 1234.567):
        late_s = fires_s(armed_s, timeout_s) - armed_s - timeout_s
        assert -1e-9 - 1 / HZ <= late_s <= timeout_s / 8 + 2 / HZ


def test_parts_of_a_jiffy_are_rounded_up() -> None:
    assert [jiffies_of(seconds) for seconds in (0.0, 0.0001, 0.01, 0.0101, 1.0)] == [0, 1, 1, 2, 100]
