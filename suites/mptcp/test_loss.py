# SPDX-License-Identifier: MIT
"""Lossy paths: two of them are worth more than the better one alone."""

from __future__ import annotations

import pytest

from suites.mptcp.scenario import both_versions, needs_mptcp
from suites.mptcp.transfer import Hosts, Path

pytestmark = needs_mptcp

SECONDS = "10"
RATE_BPS = 10_000_000
LOSSES = [(1, 1), (1, 10), (2, 5), (5, 5), (10, 1), (10, 10)]  # per cent, path one and path two


def lossy(one: int, two: int) -> pytest.MarkDecorator:
    """Give two paths of 10 Mbit/s and 10 ms with losses in per cent."""
    path1, path2 = ({"loss_ratio": loss / 100} for loss in (one, two))
    return pytest.mark.scenario("two_path", rate_bps=RATE_BPS, delay_ms=10, path1=path1, path2=path2)


@both_versions
@pytest.mark.parametrize(
    "losses", [pytest.param(pair, marks=lossy(*pair), id="{}-{}".format(*pair)) for pair in LOSSES]
)
@pytest.mark.real_time_budget(60)
def test_two_lossy_paths_beat_the_better_one(hosts: Hosts, losses: tuple[int, int]) -> None:
    """All bytes arrive, and faster than over either path alone, measured in the same network right before."""
    alone = {
        path: hosts.send("--seconds", SECONDS, path=path, port=6000 + number)[0].goodput_bps
        for number, path in enumerate(Path)
    }
    hosts.join_from_client()
    sent, _ = hosts.send("--seconds", SECONDS)
    assert sent.extra_subflows == 1, losses
    assert sent.goodput_bps > max(alone.values())
