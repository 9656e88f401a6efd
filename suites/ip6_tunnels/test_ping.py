# SPDX-License-Identifier: MIT
"""A ping over each kind of tunnel: replies come, and on the wire there is nothing but the declared headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.ip6_tunnels.ends import inner_address, join, over_a_router, received
from suites.ip6_tunnels.onion import echoes
from suites.ip6_tunnels.tunnels import Tunnel, all_tunnels

if TYPE_CHECKING:
    from testbed.backends.network import Network

pytestmark = over_a_router

COUNT = 3
CARRIED = {4: "ipv4 icmp", 6: "ipv6 icmpv6"}
HEADERS = {4: 20 + 8, 6: 40 + 8}  # IP and echo
FULL_FRAME = 14 + 1500


def test_plain(network: Network) -> None:
    """Without a tunnel both addresses are in the one IPv6 header, and the router takes one hop of it."""
    near, far = network["h1"], network["h2"]
    assert received(near, far.address(6), count=COUNT) == COUNT
    for link, end, hops in (("h1-r1", "h1", 64), ("r1-h2", "h2", 63)):
        requests = [onion for onion in echoes(network, link, end) if onion.echo == "request"]
        assert [onion.names for onion in requests] == ["ipv6 icmpv6"] * COUNT
        assert {onion.outer.addresses for onion in requests} == {(near.address(6), far.address(6))}
        assert {onion.outer.hops_left for onion in requests} == {hops}


@all_tunnels
def test_largest_packets_cross(network: Network, tunnel: Tunnel) -> None:
    """Packets as large as the device's MTU make frames as large as the outer MTU; the router sees only the outside."""
    near, far = network["h1"], network["h2"]
    join(network, tunnel)
    assert int(near.read("/sys/class/net/t0/mtu")) == tunnel.mtu
    for version in tunnel.carries:
        payload = tunnel.mtu - HEADERS[version]
        assert received(near, inner_address(version, 2), "-Mdo", f"-s{payload}", count=COUNT) == COUNT

    wanted = [f"{tunnel.wire} {CARRIED[version]}" for version in tunnel.carries for _ in range(2 * COUNT)]
    outside = near.address(tunnel.over), far.address(tunnel.over)
    for link, end, outer_hops in (("h1-r1", "h1", 64), ("r1-h2", "h2", 63)):
        seen = echoes(network, link, end)
        assert [onion.names for onion in seen] == wanted
        assert {onion.length for onion in seen} == {FULL_FRAME}
        requests = [onion for onion in seen if onion.echo == "request"]
        assert {onion.outer.addresses for onion in requests} == {outside}
        assert {onion.outer.hops_left for onion in requests} == {outer_hops}
        assert {onion.inner.hops_left for onion in seen} == {64}
