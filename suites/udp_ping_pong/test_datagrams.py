# SPDX-License-Identifier: MIT
"""Numbered datagrams go there and come back in turn; one that does not come back is sent again, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.datagrams import to_client, to_server
from suites.common.pdpix import Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

SIZE_BYTES = 64
DELAY_S = 50e-6
IDLE_S = 1.0  # longer than what a client waits before it sends again

counts = pytest.mark.parametrize("count", [64, 1024])


@pytest.mark.flavors("udp")
@pytest.mark.scenario("pair")
@counts
def test_each_comes_back_once(network: Network, flavor: str, count: int) -> None:
    """Over a clean link nothing is lost, nothing is sent twice, and the wire says so, too."""
    sides = Sides(network, flavor)
    delay_s = sides.delay(DELAY_S)
    there, here = sides.run("udp-ping-pong", size=SIZE_BYTES, requests=count, idle=IDLE_S)
    assert here["sent"] == here["received"] == there["sent"] == there["received"] == count
    assert here["received_bytes"] == there["received_bytes"] == count * SIZE_BYTES
    assert here["lost"] == there["lost"] == 0
    assert here["latency"]["count"] == count
    assert here.latency_ns("min") >= 2e9 * delay_s
    assert to_server(sides).sent == to_client(sides).sent == count


@pytest.mark.flavors("udp")
@pytest.mark.requires("netem")
@pytest.mark.scenario("pair", delay_ms=DELAY_S * 1000, loss_ratio=0.1)
@counts
def test_what_is_lost_is_sent_again(network: Network, flavor: str, count: int) -> None:
    """With 10 % loss each comes back all the same, and all counts are those of the wire."""
    sides = Sides(network, flavor, introduced=True)
    there, here = sides.run("udp-ping-pong", size=SIZE_BYTES, requests=count, idle=IDLE_S, retry=0.01)
    up, down = to_server(sides), to_client(sides)
    assert here["sent"] == up.sent == count + here["lost"]
    assert there["received"] == there["sent"] == down.sent == len(up.came)
    assert here["received"] == len(down.came)
    assert there["lost"] == 0
    assert here["lost"] == (up.sent - len(up.came)) + (down.sent - len(down.came)) > 0
