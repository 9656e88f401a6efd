# SPDX-License-Identifier: MIT
"""What a router does with frames written by hand: forward, refuse, report (RFC 1812, 4443, 1191, 8201)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.packet import Raw

from suites.common.ghost import Ghost
from suites.cradle.scenario import behind_a_router, both_versions
from testbed.scenarios.topology import Link, Node, Topology

if TYPE_CHECKING:
    from testbed.backends.network import Network

NARROW_MTU = 1400
NOWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}  # RFC 5737, RFC 3849

narrow_behind_a_router = pytest.mark.scenario(
    Topology(
        (Node("h1"), Node("r1", "router"), Node("h2")),
        (Link("h1", "r1"), Link("r1", "h2", mtu=NARROW_MTU)),
    )
)


@pytest.fixture
def traveller(network: Network) -> Ghost:
    """Give a ghost on the cable between h1 and the router, which knows it."""
    ghost = Ghost(network, "h1", "r1")
    ghost.introduce()
    return ghost


def datagram(ghost: Ghost, version: int, to: str, *, hops: int = 64, size: int = 8, **fields: Any) -> Any:
    """Make a datagram to a closed port of an address behind the router."""
    return ghost.ip(version, to=to, hops=hops, **fields) / UDP(sport=40_000, dport=9) / Raw(bytes(size))


def arrived(network: Network) -> list[Any]:
    """Give the datagrams that reached the other side."""
    return network.link("r1-h2").packets(
        "h2", lambda frame: UDP in frame and ICMP not in frame and frame[UDP].dport == 9
    )


@behind_a_router
@both_versions
def test_forwarding_takes_one_hop(network: Network, traveller: Ghost, version: int) -> None:
    """The datagram arrives as it was, one hop poorer, with the router's MAC address as its source."""
    traveller.ask(datagram(traveller, version, network["h2"].address(version), hops=2))
    [frame] = [seen for seen in arrived(network) if seen.dst == network["h2"].interfaces[0].mac]
    assert (frame[IP].ttl if version == 4 else frame[IPv6].hlim) == 1
    assert frame.src == network["r1"].interface("h2").mac
    assert bytes(frame[UDP].payload) == bytes(8)


@behind_a_router
@both_versions
def test_last_hop_is_reported(network: Network, traveller: Ghost, version: int) -> None:
    """With one hop left nothing is forwarded; the router's near address says that the time is exceeded in transit."""
    [report] = traveller.ask(datagram(traveller, version, network["h2"].address(version), hops=1), at=1.0)
    near = network["r1"].address(version, "h1-r1")
    if version == 4:
        assert (report[IP].src, report[ICMP].type, report[ICMP].code) == (near, 11, 0)
    else:
        assert (report[IPv6].src, report[ICMPv6TimeExceeded].code) == (near, 0)
    assert report.time == pytest.approx(1.0, abs=10e-6)
    assert arrived(network) == []


@behind_a_router
@both_versions
def test_address_without_a_route_is_reported(traveller: Ghost, version: int) -> None:
    """The router knows no way: destination unreachable, no route."""
    [report] = traveller.ask(datagram(traveller, version, NOWHERE[version]))
    if version == 4:
        assert (report[ICMP].type, report[ICMP].code) == (3, 0)
    else:
        assert report[ICMPv6DestUnreach].code == 0


@narrow_behind_a_router
@both_versions
def test_packet_that_does_not_fit_is_reported_with_the_mtu(network: Network, traveller: Ghost, version: int) -> None:
    """Too long for the next link and not to be fragmented: the report says how long it may be."""
    flags: dict[str, Any] = {"flags": "DF"} if version == 4 else {}
    target = network["h2"].address(version)
    [report] = traveller.ask(datagram(traveller, version, target, size=1420, **flags))
    if version == 4:
        assert (report[ICMP].type, report[ICMP].code, report[ICMP].nexthopmtu) == (3, 4, NARROW_MTU)
    else:
        assert report[ICMPv6PacketTooBig].mtu == NARROW_MTU
    assert arrived(network) == []


@narrow_behind_a_router
def test_ipv4_packet_that_may_be_is_fragmented(network: Network, traveller: Ghost) -> None:
    """Without "do not fragment" the router cuts the packet in two, and the host puts it together again."""
    [report] = traveller.ask(datagram(traveller, 4, network["h2"].address(), size=1420))
    assert (report[ICMP].type, report[ICMP].code) == (3, 3)  # the whole datagram came to a closed port
    pieces = network.link("r1-h2").packets("h2", lambda frame: IP in frame and frame[IP].src == traveller.addresses[4])
    assert [(piece[IP].frag * 8, piece[IP].len, str(piece[IP].flags)) for piece in pieces] == [
        (0, 20 + 1376, "MF"),
        (1376, 20 + 1420 + 8 - 1376, ""),
    ]
