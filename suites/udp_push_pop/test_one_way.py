# SPDX-License-Identifier: MIT
"""Numbered datagrams go one way; the server checks each byte, and knows how many did not come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.datagrams import to_server
from suites.common.pdpix import Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

SIZE_BYTES = 64
RATE = 5_000  # datagrams per second: the server keeps up, on a busy host too
IDLE_S = 0.5

counts = pytest.mark.parametrize("count", [64, 1024])


@pytest.mark.flavors("udp")
@pytest.mark.scenario("pair")
@counts
def test_all_that_is_pushed_is_popped(network: Network, flavor: str, count: int) -> None:
    """Over a clean link each datagram comes, once."""
    sides = Sides(network, flavor)
    sides.delay(50e-6)
    there, here = sides.run("udp-push-pop", size=SIZE_BYTES, requests=count, rate=RATE, idle=IDLE_S)
    assert here["sent"] == there["received"] == count
    assert here["sent_bytes"] == there["received_bytes"] == count * SIZE_BYTES
    assert there["lost"] == 0
    assert to_server(sides).sent == count


@pytest.mark.flavors("udp")
@pytest.mark.requires("netem")
@pytest.mark.scenario("pair", delay_ms=0.05, loss_ratio=0.1)
@counts
def test_what_is_lost_is_counted(network: Network, flavor: str, count: int) -> None:
    """With 10 % loss the server has popped what the wire brought, and misses exactly what the wire lost."""
    sides = Sides(network, flavor, introduced=True)
    there, here = sides.run("udp-push-pop", size=SIZE_BYTES, requests=count, rate=RATE, idle=IDLE_S)
    up = to_server(sides)
    assert here["sent"] == up.sent == count
    assert there["received"] == len(up.came) == len(set(up.came))
    assert there["lost"] == up.sent - len(up.came) > 0


@pytest.mark.flavors("udp")
@pytest.mark.scenario("pair")
@counts
def test_a_flood_is_counted(network: Network, flavor: str, count: int) -> None:
    """All at once, and the server's MAC address is not known yet: what there is no room for is lost, and counted."""
    sides = Sides(network, flavor)
    sides.delay(50e-6)
    there, here = sides.run("udp-push-pop", size=SIZE_BYTES, requests=count, idle=IDLE_S)
    up = to_server(sides)
    assert here["sent"] == count >= up.sent == len(set(up.came))
    assert 0 < there["received"] == count - there["lost"] <= up.sent
