# SPDX-License-Identifier: MIT
"""How TCP finds and repairs losses: SACK, fast retransmit, tail loss probes, no false alarm for what is only late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.transport.hosts import sysctl
from suites.transport.scenario import DELAY_S, RTT_S, both_versions, wire
from suites.transport.tcp_options import NODELAY, retransmissions, rto_s, srtt_s

if TYPE_CHECKING:
    from collections.abc import Collection

    from suites.common.tcp_wire import Segment
    from suites.transport.hosts import Hosts
    from testbed.backends.sockets import RemoteSocket

pytestmark = [wire, pytest.mark.requires("netem")]

SIZE = 1000  # bytes of each segment here: with TCP_NODELAY every send is one
TIMER_S = 0.010  # a jiffy


def connect(hosts: Hosts) -> tuple[RemoteSocket, RemoteSocket]:
    """Connect, and let a few segments pass first, so that the window is open and the round trip measured."""
    client, server = hosts.connect(client=[NODELAY])
    for _ in range(10):
        client.send(bytes(SIZE))
        server.recv_exactly(SIZE)
    hosts.network.sleep(1.0)
    return client, server


def send(hosts: Hosts, client: RemoteSocket, count: int, lost: Collection[int]) -> list[bytes]:
    """Send segments in a row, of which those with some numbers are lost on the way."""
    sent = [bytes([number]) * SIZE for number in range(count)]
    for number, data in enumerate(sent):
        if number in lost:
            hosts.black_hole()
        client.send(data)
        if number in lost:
            hosts.black_hole(on=False)
    return sent


def data_since(found: list[Segment], since_s: float) -> list[Segment]:
    """Keep the segments with payload that were sent from a time on."""
    return [segment for segment in found if segment.payload_bytes and segment.time_s >= since_s]


@both_versions
def test_lost_segment_is_sent_again_after_three_duplicate_acks(hosts: Hosts) -> None:
    """One round trip after the loss, not one time-out (RFC 5681, section 3.2), and only what was lost."""
    client, server = connect(hosts)
    began_s = hosts.network.now()
    sent = send(hosts, client, 6, {1})
    assert server.recv_exactly(6 * SIZE) == b"".join(sent)
    *first, again = data_since(hosts.sent_by_client(), began_s)
    assert len(first) == 6
    assert again.sequence == first[1].sequence
    assert again.time_s - first[4].time_s == pytest.approx(RTT_S, abs=1e-3)
    assert retransmissions(client) == 1


@both_versions
def test_sack_blocks_name_what_arrived_after_the_hole(hosts: Hosts) -> None:
    """The acknowledgements keep to the hole, and their blocks grow with each segment behind it (RFC 2018)."""
    client, server = connect(hosts)
    began_s = hosts.network.now()
    sent = send(hosts, client, 6, {1})
    assert server.recv_exactly(6 * SIZE) == b"".join(sent)
    first = data_since(hosts.sent_by_client(), began_s)
    acks = [segment for segment in hosts.at_client() if segment.source == hosts.server_address and segment.sack_blocks]
    assert {ack.acknowledgement for ack in acks} == {first[1].sequence}
    assert [ack.sack_blocks for ack in acks] == [[(first[2].sequence, last.end)] for last in first[2:6]]


def test_two_holes_are_two_blocks_newest_first(hosts: Hosts) -> None:
    """The first block has the segment that came last; older ones are repeated behind it (RFC 2018, section 4)."""
    client, server = connect(hosts)
    began_s = hosts.network.now()
    send(hosts, client, 8, {1, 4})
    server.recv_exactly(8 * SIZE)
    first = data_since(hosts.sent_by_client(), began_s)
    blocks = [segment.sack_blocks for segment in hosts.at_client() if len(segment.sack_blocks) == 2]
    older = (first[2].sequence, first[3].end)
    assert blocks[0] == [(first[5].sequence, first[5].end), older]
    assert blocks[2] == [(first[5].sequence, first[7].end), older]
    assert retransmissions(client) == 2


def test_without_sack_duplicate_acks_have_no_blocks(hosts: Hosts) -> None:
    """With net.ipv4.tcp_sack=0 the SYN does not permit it, and the loss is still repaired by duplicate ACKs."""
    sysctl(hosts.client, "net.ipv4.tcp_sack", 0)
    client, server = connect(hosts)
    began_s = hosts.network.now()
    sent = send(hosts, client, 6, {1})
    assert server.recv_exactly(6 * SIZE) == b"".join(sent)
    found = hosts.at_client()
    assert all(segment.value(4) is None for segment in found)
    assert not any(segment.sack_blocks for segment in found)
    hole = data_since(hosts.sent_by_client(), began_s)[1].sequence
    acks = [segment for segment in found if segment.acknowledgement == hole and segment.source == hosts.server_address]
    assert len(acks) >= 4
    assert retransmissions(client) >= 1


@both_versions
def test_lost_tail_is_found_by_a_probe(hosts: Hosts) -> None:
    """Nobody acknowledges what comes after the last segment: a probe goes out before the time-out (RFC 8985, 7)."""
    client, server = connect(hosts)
    began_s = hosts.network.now()
    probe_after_s, timeout_s = 2 * srtt_s(client), rto_s(client)
    sent = send(hosts, client, 5, {4})
    hosts.network.sleep(1.0)
    *first, probe = data_since(hosts.sent_by_client(), began_s)
    assert len(first) == 5
    assert probe.sequence == first[4].sequence
    waited_s = probe.time_s - first[4].time_s
    assert probe_after_s <= waited_s <= RTT_S + probe_after_s + LEAST_RTO_S + 2 * TIMER_S
    assert server.recv_exactly(5 * SIZE) == b"".join(sent)
    assert timeout_s > probe_after_s


LEAST_RTO_S = 0.2  # TCP_RTO_MIN, the allowance for a delayed acknowledgement of a single segment


def test_several_lost_at_the_tail_are_probed_after_two_round_trips(hosts: Hosts) -> None:
    """With more than one segment under way no delayed ACK is allowed for: the probe comes after 2 * SRTT."""
    client, server = connect(hosts)
    began_s = hosts.network.now()
    probe_after_s = 2 * srtt_s(client)
    send(hosts, client, 4, {0, 1, 2, 3})
    server.recv_exactly(4 * SIZE)
    first = data_since(hosts.sent_by_client(), began_s)
    assert [segment.sequence for segment in first[3:5]] == [first[3].sequence] * 2
    assert first[4].time_s - first[3].time_s == pytest.approx(probe_after_s + 2 * TIMER_S, abs=2 * TIMER_S)


def test_late_segment_is_not_sent_again(hosts: Hosts) -> None:
    """A segment that two others overtake within a quarter of the round trip is late, not lost (RFC 8985, 6.2)."""
    client, server = connect(hosts)
    sent = []
    for number, delay_s in enumerate([DELAY_S, DELAY_S + RTT_S / 8, DELAY_S, DELAY_S]):
        hosts.network.link("h1-h2").set(toward="h2", delay_ms=delay_s * 1000)
        sent.append(bytes([number]) * SIZE)
        client.send(sent[-1])
    assert server.recv_exactly(4 * SIZE) == b"".join(sent)
    hosts.network.sleep(1.0)
    assert [segment.sack_blocks for segment in hosts.at_client() if segment.sack_blocks]
    assert retransmissions(client) == 0


@pytest.mark.parametrize(("pause_s", "again"), [(RTT_S / 8, 0), (RTT_S * 3 / 8, 1)], ids=["within", "beyond"])
def test_late_segment_has_a_quarter_of_the_round_trip(hosts: Hosts, pause_s: float, again: int) -> None:
    """What arrives of segments sent later shows how late one is: more than min_rtt / 4, and it is sent again."""
    client, server = connect(hosts)
    link = hosts.network.link("h1-h2")
    client.send(bytes(SIZE))
    link.set(toward="h2", delay_ms=(DELAY_S + RTT_S / 2) * 1000)
    client.send(bytes(SIZE))
    link.set(toward="h2", delay_ms=DELAY_S * 1000)
    client.send(bytes(SIZE))
    hosts.network.sleep(pause_s)
    client.send(bytes(SIZE))
    server.recv_exactly(4 * SIZE)
    hosts.network.sleep(1.0)
    assert retransmissions(client) == again


def test_segment_that_came_twice_is_reported(hosts: Hosts) -> None:
    """The ACK of a duplicate has a block below its acknowledgement: it was repeated in vain (RFC 2883)."""
    client, server = connect(hosts)
    hosts.network.link("h1-h2").set(toward="h2", duplicate_ratio=1.0)
    client.send(bytes(SIZE))
    server.recv_exactly(SIZE)
    hosts.network.sleep(RTT_S)
    last = [segment for segment in hosts.sent_by_client() if segment.payload_bytes][-1]
    reports = [segment for segment in hosts.at_client() if segment.sack_blocks]
    assert reports[0].acknowledgement == last.end
    assert reports[0].sack_blocks == [(last.sequence, last.end)]


def test_lost_acks_alone_cause_no_retransmission(hosts: Hosts) -> None:
    """Acknowledgements are cumulative: the last one of a round stands for all that were lost before it."""
    client, server = connect(hosts)
    link = hosts.network.link("h1-h2")
    link.set(toward="h1", loss_ratio=1.0)
    for _ in range(3):
        client.send(bytes(SIZE))
    hosts.network.sleep(DELAY_S * 1.5)
    link.set(toward="h1", loss_ratio=0.0)
    client.send(bytes(SIZE))
    server.recv_exactly(4 * SIZE)
    hosts.network.sleep(1.0)
    assert retransmissions(client) == 0
