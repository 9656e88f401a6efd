# SPDX-License-Identifier: MIT
"""Lossy paths: two of them are worth more than the better one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.mptcp.scenario import both_versions, needs_mptcp
from suites.mptcp.transfer import Path

if TYPE_CHECKING:
    from suites.mptcp.transfer import Hosts

pytestmark = needs_mptcp

RATE_BPS = 10_000_000
# Per cent on path one and path two, and seconds of a transfer: the more loss, the fewer packets in a second, and the
# longer it takes until chance evens out.
LOSSES = {(1, 1): 10, (1, 2): 15, (2, 1): 15, (2, 2): 15, (5, 5): 30, (10, 10): 60}
UNEQUAL_LOSSES = {(1, 10): 15, (10, 1): 15}


def lossy(losses: dict[tuple[int, int], int]) -> pytest.MarkDecorator:
    """Parametrise with two paths of 10 Mbit/s and 10 ms that lose packets in both directions."""
    cases = []
    for (one, two), seconds in losses.items():
        path1, path2 = {"loss_ratio": one / 100}, {"loss_ratio": two / 100}
        network = pytest.mark.scenario("two_path", rate_bps=RATE_BPS, delay_ms=10, path1=path1, path2=path2)
        marks = [network, pytest.mark.real_time_budget(3 * seconds)]
        cases.append(pytest.param(seconds, marks=marks, id=f"{one}-{two}"))
    return pytest.mark.parametrize("seconds", cases)


def compare(hosts: Hosts, seconds: int) -> float:
    """Send over each path alone, then over both, and give the goodput over both in units of the better one's."""
    options = ("--seconds", str(seconds))
    alone = [hosts.send(*options, path=path, port=port)[0].goodput_bps for port, path in enumerate(Path, start=6000)]
    hosts.repeat_announcements_after(1)  # the announcement may be lost as any segment
    hosts.join_from_client()
    together, _ = hosts.send(*options)
    assert together.extra_subflows == 1
    return together.goodput_bps / max(alone)


@both_versions
@lossy(LOSSES)
def test_two_lossy_paths_beat_the_better_one(hosts: Hosts, seconds: int) -> None:
    """All bytes arrive, and faster than over either path alone, measured in the same network right before."""
    assert compare(hosts, seconds) > 1


@lossy(UNEQUAL_LOSSES)
def test_much_worse_second_path_costs_at_most_half(hosts: Hosts, seconds: int) -> None:
    """One path of 1 %, one of 10 %: all bytes arrive, and the worse path never drags both below half of the better one.

    Linux's default scheduler may send a segment to the worse path and then wait for it (head-of-line blocking), so
    more than the better path alone is not promised here.
    """
    assert compare(hosts, seconds) > 0.5
