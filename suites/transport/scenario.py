# SPDX-License-Identifier: MIT
"""The links of the suite, and what its cases need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from testbed.scenarios.shape import ShapeParams

DELAY_S = 0.010
RTT_S = 2 * DELAY_S
RATE_BPS = 10_000_000
SLOW_BPS = 500_000

# Two hosts, 10 ms apart, without a limit of rate: what is sent at once arrives at once.
wire = pytest.mark.scenario("pair", delay_ms=DELAY_S * 1000)
# The same with a bottleneck, for transfers.
bottleneck = pytest.mark.scenario("pair", delay_ms=DELAY_S * 1000, rate_bps=RATE_BPS)
# Two routers or one between the hosts: somebody who drops, marks or sends ICMP.
routed = pytest.mark.scenario("chain", n=3, delay_ms=DELAY_S * 1000)

LINKS: dict[str, ShapeParams] = {
    "clean": {},
    "lossy": {"loss_ratio": 0.05},
    "reordering": {"reorder_ratio": 0.10, "jitter_ms": 5},
    "duplicating": {"duplicate_ratio": 0.10},
    "corrupting": {"corrupt_ratio": 0.05},
    "slow": {"rate_bps": SLOW_BPS, "delay_ms": 100, "queue_packets": 30},
}

both_versions = pytest.mark.parametrize("hosts", [4, 6], ids=["ipv4", "ipv6"], indirect=True)
over_all_links = pytest.mark.parametrize("link", LINKS)

NEEDS = {"tcp": (), "sctp": ("sctp",), "dccp": ("dccp",), "udp": (), "udplite": ("udplite",)}


def protocols(*names: str) -> pytest.MarkDecorator:
    """Parametrise with protocols, each skipped where the kernel has none of it."""
    params = [pytest.param(name, marks=pytest.mark.requires("netem", *NEEDS[name]), id=name) for name in names]
    return pytest.mark.parametrize("protocol", params)
