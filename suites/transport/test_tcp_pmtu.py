# SPDX-License-Identifier: MIT
"""Path MTU discovery: by what routers say (RFC 1191, RFC 8201), and without them (RFC 4821)."""

from __future__ import annotations

from socket import IPPROTO_IP, IPPROTO_IPV6
from typing import TYPE_CHECKING

import pytest

from suites.common import ip_wire
from suites.transport.hosts import sysctl
from suites.transport.scenario import both_versions
from testbed.scenarios.shape import Shape
from testbed.scenarios.topology import Link, Node, Topology

if TYPE_CHECKING:
    from suites.common.ip_wire import Packet
    from suites.transport.hosts import Hosts

NARROW_BYTES = 1280
SHAPE = Shape(delay_ms=5)
HEADER_BYTES = {4: 20, 6: 40}
TOO_BIG = {4: (ip_wire.ICMP, 3, 4), 6: (ip_wire.ICMPV6, 2, 0)}  # protocol, type, code
MTU_OPTION = {4: (IPPROTO_IP, 14), 6: (IPPROTO_IPV6, 24)}  # IP_MTU, IPV6_MTU
BYTES = 100_000


# Both hosts see an MTU of 1500; the cable between the two routers on their way has less.
NARROW_MIDDLE = Topology(
    (Node("h1"), Node("r1", "router"), Node("r2", "router"), Node("h2")),
    (Link("h1", "r1", SHAPE), Link("r1", "r2", SHAPE, mtu=NARROW_BYTES), Link("r2", "h2", SHAPE)),
)

pytestmark = [pytest.mark.scenario(NARROW_MIDDLE), pytest.mark.requires("netem")]


def size(hosts: Hosts, packet: Packet) -> int:
    """Give the length of an IP packet in bytes, its header included."""
    return packet.body_bytes + HEADER_BYTES[hosts.version]


def complaints(hosts: Hosts) -> list[Packet]:
    """Give the messages of the router that reach the client: packet too big."""
    protocol, kind, code = TOO_BIG[hosts.version]
    return [packet for packet in hosts.packets_at("h1", protocol) if (packet.body[0], packet.body[1]) == (kind, code)]


def silence(hosts: Hosts) -> None:
    """Let the router drop its own messages: a black hole for what is too big."""
    rules = "icmp type destination-unreachable drop\nicmpv6 type packet-too-big drop"
    ruleset = f"table inet silence {{ chain output {{ type filter hook output priority 0;\n{rules}\n}}\n}}\n"
    hosts.network["r1"].run(["nft", "-f", "-"], input=ruleset)


@both_versions
@pytest.mark.real_time_budget(10)
def test_router_tells_the_mtu_and_segments_shrink(hosts: Hosts) -> None:
    """The first full segments come back as ICMP with the MTU in it; what is sent after that fits, and all arrives."""
    hosts.start("tcp", BYTES).finish()
    told = complaints(hosts)
    assert told
    assert {int.from_bytes(packet.body[4:8]) for packet in told} == {NARROW_BYTES}
    sent = [packet for packet in hosts.packets_at("h1", ip_wire.TCP) if packet.source == hosts.client_address]
    assert all(packet.whole for packet in sent)
    assert max(size(hosts, packet) for packet in sent if packet.time_s < told[0].time_s) == 1500
    assert max(size(hosts, packet) for packet in sent if packet.time_s > told[-1].time_s) == NARROW_BYTES
    assert max(size(hosts, packet) for packet in hosts.packets_at("h2", ip_wire.TCP)) == NARROW_BYTES


@both_versions
def test_what_was_told_holds_for_the_next_connection(hosts: Hosts) -> None:
    """The MTU of the path is kept: the next socket begins with it, and no message is needed again."""
    hosts.start("tcp", 20_000).finish()
    told = len(complaints(hosts))
    hosts.start("tcp", 20_000, port=5001).finish()
    assert len(complaints(hosts)) == told > 0
    client, _ = hosts.connect(port=5002)
    assert client.getsockopt(*MTU_OPTION[hosts.version]) == NARROW_BYTES


@both_versions
@pytest.mark.requires("nftables")
@pytest.mark.real_time_budget(30)
def test_probing_finds_the_mtu_of_a_silent_path(hosts: Hosts) -> None:
    """Nobody says that segments are too big: after some time-outs net.ipv4.tcp_mtu_probing=1 tries smaller ones."""
    silence(hosts)
    sysctl(hosts.client, "net.ipv4.tcp_mtu_probing", 1)
    hosts.start("tcp", BYTES).finish()
    assert complaints(hosts) == []
    assert max(size(hosts, packet) for packet in hosts.packets_at("h2", ip_wire.TCP)) <= NARROW_BYTES


@pytest.mark.requires("nftables")
@pytest.mark.real_time_budget(60)
def test_without_probing_a_silent_path_is_a_black_hole(hosts: Hosts) -> None:
    """Small segments pass, full ones are repeated for ever: after a minute not one of them has arrived."""
    silence(hosts)
    sysctl(hosts.client, "net.ipv4.tcp_mtu_probing", 0)
    client, server = hosts.connect()
    client.send(b"small")
    assert server.recv(100) == b"small"
    client.send(bytes(1448))
    hosts.network.sleep(60.0)
    big = [segment for segment in hosts.sent_by_client() if segment.payload_bytes == 1448]
    assert len(big) > 5
    assert max(segment.payload_bytes for segment in hosts.at_server()) == len(b"small")
