# SPDX-License-Identifier: MIT
"""Explicit Congestion Notification: agreed on in the handshake, marked by a router, answered (RFC 3168)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.ip_wire import CE, ECT_0, NOT_ECT
from suites.common.tcp_wire import ACK, CWR, ECE, SYN
from suites.transport.hosts import sysctl
from suites.transport.scenario import both_versions, routed, wire

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts

pytestmark = pytest.mark.requires("netem", "tbf")

BYTES = 300_000


def ecn(hosts: Hosts, client: int, server: int) -> None:
    """Set net.ipv4.tcp_ecn of both hosts: 0 = never, 1 = ask for it, 2 = only if asked (the default)."""
    sysctl(hosts.client, "net.ipv4.tcp_ecn", client)
    sysctl(hosts.server, "net.ipv4.tcp_ecn", server)


def mark(hosts: Hosts) -> None:
    """Let the router mark what has waited for more than 2 ms in front of a bottleneck of 5 Mbit/s (tc-fq_codel(8))."""
    router = hosts.network["r1"]
    router.run("tc qdisc add dev eth1 root handle 1: tbf rate 5mbit burst 3kb latency 500ms")
    done = router.run("tc qdisc add dev eth1 parent 1:1 fq_codel ecn ce_threshold 2ms", check=False)
    if "qdisc kind is unknown" in done.stderr:
        pytest.skip("the kernel has no fq_codel (CONFIG_NET_SCH_FQ_CODEL)")
    done.check()


@wire
@both_versions
def test_client_asks_and_server_agrees(hosts: Hosts) -> None:
    """SYN with ECE and CWR, SYN-ACK with ECE; then data may be marked (ECT), and pure ACKs may not."""
    ecn(hosts, 1, 2)
    client, server = hosts.connect()
    client.send(b"data")
    server.recv(4)
    hosts.network.sleep(1.0)
    syn, syn_ack, ack, data, answer = hosts.at_client()
    assert syn.flags == SYN | ECE | CWR
    assert syn_ack.flags == SYN | ACK | ECE
    assert data.ecn == ECT_0
    assert [segment.ecn for segment in (syn, syn_ack, ack, answer)] == [NOT_ECT] * 4


@wire
@pytest.mark.parametrize(("asks", "answers"), [(2, 2), (1, 0), (0, 1)], ids=["unasked", "refused", "off"])
def test_without_agreement_nothing_is_marked(hosts: Hosts, asks: int, answers: int) -> None:
    """Who does not ask, or is refused, sends data that routers must not mark."""
    ecn(hosts, asks, answers)
    client, server = hosts.connect()
    client.send(b"data")
    server.recv(4)
    syn, syn_ack, *rest = hosts.at_client()
    assert bool(syn.flags & ECE) == (asks == 1)
    assert not syn_ack.flags & ECE
    assert {segment.ecn for segment in rest} == {NOT_ECT}


@routed
@both_versions
@pytest.mark.real_time_budget(10)
def test_mark_of_the_router_is_echoed_and_answered(hosts: Hosts) -> None:
    """CE comes in, ECE goes back until CWR says that the sender has slowed down; nothing had to be lost for that."""
    ecn(hosts, 1, 2)
    mark(hosts)
    hosts.start("tcp", BYTES).finish()
    server = hosts.at_server()
    marked = [segment for segment in server if segment.ecn == CE]
    echoed = [segment for segment in server if segment.source == hosts.server_address and segment.flags & ECE]
    echoed = [segment for segment in echoed if not segment.flags & SYN]
    answered = [segment for segment in server if segment.source == hosts.client_address and segment.flags & CWR]
    answered = [segment for segment in answered if not segment.flags & SYN]
    assert marked
    assert echoed
    assert answered
    assert marked[0].time_s <= echoed[0].time_s < answered[0].time_s
    asked_for = False
    for segment in server:
        if segment.source == hosts.client_address:
            asked_for = segment.ecn == CE or (asked_for and not segment.flags & CWR)
        elif not segment.flags & SYN:
            assert bool(segment.flags & ECE) == asked_for, segment
    assert all(segment.ecn != CE for segment in hosts.at_client() if segment.source == hosts.client_address)
    numbers = [
        segment.sequence for segment in server if segment.payload_bytes and segment.source == hosts.client_address
    ]
    assert len(numbers) == len(set(numbers))


@routed
@pytest.mark.real_time_budget(10)
def test_without_ecn_the_same_queue_marks_nothing(hosts: Hosts) -> None:
    """What may not be marked is not marked, and the transfer gets through all the same."""
    ecn(hosts, 0, 0)
    mark(hosts)
    hosts.start("tcp", BYTES).finish()
    assert {segment.ecn for segment in hosts.at_server()} == {NOT_ECT}


@routed
@pytest.mark.real_time_budget(10)
def test_dctcp_echoes_each_mark(hosts: Hosts) -> None:
    """DCTCP echoes the marked segments and none of the others, so that few marks slow it down a little (RFC 8257)."""
    available = hosts.client.read("/proc/sys/net/ipv4/tcp_available_congestion_control").decode().split()
    if "dctcp" not in available:
        pytest.skip("the kernel has no congestion control 'dctcp'")
    mark(hosts)
    both = ["--congestion", "dctcp"]
    hosts.start("tcp", BYTES, sender=both, receiver=both).finish()
    server = hosts.at_server()
    data = [segment for segment in server if segment.source == hosts.client_address and segment.payload_bytes]
    acks = [segment for segment in server if segment.source == hosts.server_address and not segment.flags & SYN]
    marked = sum(segment.ecn == CE for segment in data) / len(data)
    echoed = sum(bool(segment.flags & ECE) for segment in acks) / len(acks)
    assert 0 < marked < 1
    assert echoed == pytest.approx(marked, abs=0.25)
