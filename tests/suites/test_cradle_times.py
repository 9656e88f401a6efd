# SPDX-License-Identifier: MIT
"""What the suite cradle takes for a timer of the kernel, and what not."""

from __future__ import annotations

import pytest
from scapy.layers.l2 import Ether

from suites.cradle.scenario import doubles, flight_s, rings_after


@pytest.mark.parametrize(("seconds", "may_be"), [(0.98, False), (0.99, True), (1.0, True), (1.12, True), (1.16, False)])
def test_a_timer_is_never_early_and_at_most_an_eighth_late(seconds: float, may_be: bool) -> None:  # noqa: FBT001  # a parameter of the test
    assert rings_after(seconds, 1.0) is may_be


def test_intervals_double_within_what_timers_may_be_late() -> None:
    assert doubles([1.0, 2.1, 4.0])
    assert not doubles([1.0, 1.0])
    assert not doubles([1.0, 2.0, 5.0])


def test_a_flight_is_the_delay_and_the_bits_at_the_rate() -> None:
    frame = Ether()
    frame.wirelen = 125
    assert flight_s(frame, frame) == pytest.approx(2 * (0.1 + 10e-6))
