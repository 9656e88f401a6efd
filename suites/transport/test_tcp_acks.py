# SPDX-License-Identifier: MIT
"""When TCP speaks and when it waits: delayed ACKs, Nagle's algorithm, corks (RFC 1122, section 4.2.3; RFC 896)."""

from __future__ import annotations

from socket import IPPROTO_TCP, MSG_MORE
from typing import TYPE_CHECKING

import pytest

from suites.common.timer_wheel import fires_s
from suites.transport.scenario import DELAY_S, RTT_S, both_versions, wire
from suites.transport.tcp_options import NODELAY, TCP_CORK, TCP_QUICKACK

if TYPE_CHECKING:
    from suites.common.tcp_wire import Segment
    from suites.transport.hosts import Hosts

pytestmark = [wire, pytest.mark.requires("netem")]

DELAYED_ACK_S = 0.040  # TCP_DELACK_MIN
CORK_S = 0.200  # tcp(7), TCP_CORK
MSS = {4: 1448, 6: 1428}  # with timestamps
SLOW_ACK = (IPPROTO_TCP, TCP_QUICKACK, 0)


def data(hosts: Hosts) -> list[Segment]:
    """Give the segments with payload that the client sent."""
    return [segment for segment in hosts.sent_by_client() if segment.payload_bytes]


def acks(hosts: Hosts) -> list[Segment]:
    """Give what the server sent after the handshake."""
    return [segment for segment in hosts.at_server() if segment.source == hosts.server_address][1:]


@both_versions
def test_lone_segment_is_acknowledged_40_ms_later(hosts: Hosts) -> None:
    """A receiver in no hurry waits for a second segment, or for something to say itself; then its timer fires."""
    client, server = hosts.connect()
    server.setsockopt(*SLOW_ACK)
    client.send(b"alone")
    hosts.network.sleep(1.0)
    arrived_s = data(hosts)[0].time_s + DELAY_S
    [ack] = acks(hosts)
    assert ack.time_s == pytest.approx(fires_s(arrived_s, DELAYED_ACK_S), abs=1e-4)


@both_versions
def test_second_full_segment_is_acknowledged_at_once(hosts: Hosts) -> None:
    """At least every second full segment is acknowledged, also by who delays (RFC 9293, section 3.8.6.3)."""
    client, server = hosts.connect(client=[NODELAY])
    for _ in range(20):  # the receiver's estimate of a full segment
        client.send(bytes(MSS[hosts.version]))
        server.recv_exactly(MSS[hosts.version])
    hosts.network.sleep(1.0)
    server.setsockopt(*SLOW_ACK)
    before = len(acks(hosts))
    client.send(bytes(2 * MSS[hosts.version]))
    server.recv_exactly(2 * MSS[hosts.version])
    hosts.network.sleep(1.0)
    [ack] = acks(hosts)[before:]
    last = data(hosts)[-1]
    assert ack.acknowledgement == last.end
    assert ack.time_s == pytest.approx(last.time_s + DELAY_S, abs=1e-3)


def test_quick_ack_comes_at_once(hosts: Hosts) -> None:
    """TCP_QUICKACK takes the delay away, for a lone segment too."""
    client, server = hosts.connect()
    server.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 1)
    client.send(b"alone")
    hosts.network.sleep(1.0)
    [ack] = acks(hosts)
    assert ack.time_s == pytest.approx(data(hosts)[0].time_s + DELAY_S, abs=1e-4)


def test_answer_carries_the_acknowledgement(hosts: Hosts) -> None:
    """Who answers within the delay sends one segment, not two."""
    client, server = hosts.connect()
    server.setsockopt(*SLOW_ACK)
    client.send(b"question")
    server.recv(100)
    server.send(b"answer")
    assert client.recv(100) == b"answer"
    [answer] = acks(hosts)
    assert answer.payload_bytes == len(b"answer")
    assert answer.acknowledgement == data(hosts)[0].end


@both_versions
def test_small_segment_waits_for_the_acknowledgement_of_the_first(hosts: Hosts) -> None:
    """Of five small writes the first goes at once, the rest together once it is acknowledged: Nagle's algorithm."""
    client, server = hosts.connect()
    server.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 1)
    for _ in range(5):
        client.send(b"12345678")
    server.recv_exactly(40)
    first, second = data(hosts)
    assert (first.payload_bytes, second.payload_bytes) == (8, 32)
    assert second.time_s - first.time_s == pytest.approx(RTT_S, abs=1e-4)


def test_nagle_and_delayed_ack_cost_40_ms(hosts: Hosts) -> None:
    """The well-known bad pair: a writer of two small pieces waits for an acknowledgement that is delayed."""
    client, server = hosts.connect()
    server.setsockopt(*SLOW_ACK)
    client.send(b"first")
    client.send(b"second")
    server.recv_exactly(11)
    first, second = data(hosts)
    acknowledged_s = fires_s(first.time_s + DELAY_S, DELAYED_ACK_S)
    assert second.time_s == pytest.approx(acknowledged_s + DELAY_S, abs=1e-4)


@both_versions
def test_nodelay_sends_each_write_at_once(hosts: Hosts) -> None:
    """With TCP_NODELAY five writes are five segments, and none waits."""
    client, server = hosts.connect(client=[NODELAY])
    for _ in range(5):
        client.send(b"12345678")
    server.recv_exactly(40)
    found = data(hosts)
    assert [segment.payload_bytes for segment in found] == [8] * 5
    assert found[-1].time_s - found[0].time_s < RTT_S / 10


def test_cork_holds_small_writes_back(hosts: Hosts) -> None:
    """Under TCP_CORK nothing small leaves; taking it off sends all as one segment."""
    client, server = hosts.connect(client=[(IPPROTO_TCP, TCP_CORK, 1)])
    for _ in range(5):
        client.send(b"12345678")
    hosts.network.sleep(RTT_S)
    assert data(hosts) == []
    client.setsockopt(IPPROTO_TCP, TCP_CORK, 0)
    assert server.recv_exactly(40) == b"12345678" * 5
    assert [segment.payload_bytes for segment in data(hosts)] == [40]


def test_cork_pops_after_200_ms(hosts: Hosts) -> None:
    """A forgotten cork does not hold data for ever (tcp(7): 200 milliseconds)."""
    client, server = hosts.connect(client=[(IPPROTO_TCP, TCP_CORK, 1)])
    corked_s = hosts.network.now()
    client.send(b"12345678")
    assert server.recv(100) == b"12345678"
    [segment] = data(hosts)
    assert segment.time_s - corked_s == pytest.approx(CORK_S, rel=0.25)


def test_more_to_come_fills_the_segment(hosts: Hosts) -> None:
    """MSG_MORE is a cork for one write: with the next one it leaves as one segment."""
    client, server = hosts.connect()
    client.send(b"head", MSG_MORE)
    client.send(b"body")
    assert server.recv_exactly(8) == b"headbody"
    assert [segment.payload_bytes for segment in data(hosts)] == [8]
