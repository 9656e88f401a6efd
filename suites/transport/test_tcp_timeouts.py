# SPDX-License-Identifier: MIT
"""Time-outs of TCP in the times of packets, which are exact: suites/common/timer_wheel.py knows the rounding."""

from __future__ import annotations

import errno
from socket import IPPROTO_TCP, SO_KEEPALIVE, SO_RCVBUF, SOL_SOCKET
from typing import TYPE_CHECKING

import pytest

from suites.common.errors import raises_errno
from suites.common.tcp_wire import ACK
from suites.common.timer_wheel import backoff_s, fires_s
from suites.transport.hosts import sysctl
from suites.transport.scenario import RTT_S, both_versions, wire
from suites.transport.tcp_options import (
    NODELAY,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_USER_TIMEOUT,
    rto_s,
    srtt_s,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from suites.common.tcp_wire import Segment
    from suites.transport.hosts import Hosts
    from testbed.backends.sockets import RemoteSocket

pytestmark = [wire, pytest.mark.requires("netem")]

LONGEST_RTO_S = 120.0  # TCP_RTO_MAX
LEAST_RTO_S = 0.2  # TCP_RTO_MIN
EXACT_S = 1e-4


def times(found: Sequence[Segment]) -> list[float]:
    """Give the times of segments, in seconds."""
    return [segment.time_s for segment in found]


def send_until_blocked(sock: RemoteSocket) -> int:
    """Send until nothing more is taken for a second; give how many bytes were."""
    sock.timeout, sent = 1.0, 0
    try:
        while True:
            sent += sock.send(bytes(65536))
    except TimeoutError:
        return sent


@both_versions
@pytest.mark.real_time_budget(1000)
def test_retransmissions_back_off_until_the_connection_is_given_up(hosts: Hosts) -> None:
    """Into a black hole a segment is sent 16 times, twice as long after each other, up to 120 s; then ETIMEDOUT.

    Fifteen retransmissions are net.ipv4.tcp_retries2; it takes some 15 minutes.
    """
    sysctl(hosts.client, "net.ipv4.tcp_early_retrans", 0)  # no tail loss probe: see test_tcp_recovery
    client, _ = hosts.connect()
    hosts.black_hole()
    hosts.network.sleep(1.0)
    timeout_s = rto_s(client)
    client.send(b"nobody will ever see this")
    client.timeout = None
    with raises_errno(errno.ETIMEDOUT):
        client.recv(1)
    ended_s = hosts.network.now()
    data = [segment for segment in hosts.sent_by_client() if segment.payload_bytes]
    assert len({segment.sequence for segment in data}) == 1
    assert len(data) == 16
    expected = backoff_s(data[0].time_s, timeout_s, 17, most_s=LONGEST_RTO_S)
    assert [*times(data), ended_s] == pytest.approx(expected, abs=EXACT_S)


@pytest.mark.real_time_budget(10)
def test_first_timeout_follows_the_round_trip_time(hosts: Hosts) -> None:
    """RTO = SRTT + max(4 * RTTVAR, 200 ms), in jiffies (RFC 6298, section 2; TCP_RTO_MIN)."""
    for round_trip_ms in (20, 200, 600):
        hosts.network.link("h1-h2").set(delay_ms=round_trip_ms / 2)
        client, server = hosts.connect(port=6000 + round_trip_ms)
        for _ in range(20):
            client.send(b"?")
            server.send(server.recv(1))
            client.recv(1)
        assert srtt_s(client) == pytest.approx(round_trip_ms / 1000, abs=0.002)
        assert rto_s(client) == pytest.approx(srtt_s(client) + LEAST_RTO_S, abs=0.021)


@pytest.mark.real_time_budget(20)
def test_acknowledgement_ends_the_backoff(hosts: Hosts) -> None:
    """Once the path works again, one retransmission gets through, and the time-out is what it was before."""
    client, server = hosts.connect(client=[NODELAY])
    client.send(b"before")
    assert server.recv(100) == b"before"
    hosts.network.sleep(1.0)
    before_s = rto_s(client)
    hosts.black_hole()
    client.send(b"during")
    hosts.network.sleep(5.0)
    assert rto_s(client) > 4 * before_s
    hosts.black_hole(on=False)
    assert server.recv(100) == b"during"
    client.send(b"after")
    assert server.recv(100) == b"after"
    hosts.network.sleep(1.0)
    assert rto_s(client) == pytest.approx(before_s, abs=0.011)


@both_versions
@pytest.mark.real_time_budget(20)
def test_user_timeout_ends_a_connection(hosts: Hosts) -> None:
    """TCP_USER_TIMEOUT of 7 s: so long after the first transmission without an answer it is over (RFC 5482)."""
    limit_s = 7.0
    client, _ = hosts.connect(client=[(IPPROTO_TCP, TCP_USER_TIMEOUT, int(limit_s * 1000))])
    hosts.black_hole()
    client.send(b"nobody will ever see this")
    with raises_errno(errno.ETIMEDOUT):
        client.recv(1)
    [first, *_] = [segment for segment in hosts.sent_by_client() if segment.payload_bytes]
    assert hosts.network.now() - first.time_s == pytest.approx(limit_s, abs=limit_s / 8)
    assert hosts.network.now() - first.time_s >= limit_s


KEEPALIVE = [
    (SOL_SOCKET, SO_KEEPALIVE, 1),
    (IPPROTO_TCP, TCP_KEEPIDLE, 10),
    (IPPROTO_TCP, TCP_KEEPINTVL, 3),
    (IPPROTO_TCP, TCP_KEEPCNT, 4),
]


@both_versions
@pytest.mark.real_time_budget(40)
def test_keepalive_probes_of_an_idle_connection_are_answered(hosts: Hosts) -> None:
    """After 10 s of silence a probe with a number that was acknowledged goes out; its answer restarts the 10 s."""
    hosts.connect(client=KEEPALIVE)
    hosts.network.sleep(35.0)
    probes = [segment for segment in hosts.sent_by_client() if segment.flags == ACK][1:]
    last = next(segment for segment in hosts.sent_by_client() if segment.flags == ACK)
    assert {segment.sequence for segment in probes} == {last.sequence - 1}
    expected, at_s = [], last.time_s
    for _ in range(3):
        expected.append(fires_s(at_s, 10.0))
        at_s = expected[-1]
    assert [probe.time_s for probe in probes] == pytest.approx(expected, abs=0.7)
    answers = [segment for segment in hosts.at_client() if segment.source == hosts.server_address][1:]
    assert len(answers) == len(probes) == 3


@pytest.mark.real_time_budget(40)
def test_unanswered_keepalive_probes_end_the_connection(hosts: Hosts) -> None:
    """Four probes, 3 s apart, into a black hole; 3 s after the last one the connection is reset and timed out."""
    client, _ = hosts.connect(client=KEEPALIVE)
    hosts.black_hole()
    with raises_errno(errno.ETIMEDOUT):
        client.recv(1)
    ended_s = hosts.network.now()
    probes = [segment for segment in hosts.sent_by_client() if segment.flags == ACK][1:]
    expected = [probes[0].time_s]
    for _ in range(4):
        expected.append(fires_s(expected[-1], 3.0))
    assert [*times(probes), ended_s] == pytest.approx(expected, abs=EXACT_S)
    assert probes[0].time_s - hosts.sent_by_client()[1].time_s == pytest.approx(10.0, abs=0.65)


@both_versions
@pytest.mark.real_time_budget(60)
def test_zero_window_is_probed_until_it_opens(hosts: Hosts) -> None:
    """A receiver that does not read closes its window; probes follow with doubling pauses until it reads again."""
    client, server = hosts.connect(server=[(SOL_SOCKET, SO_RCVBUF, 8192)])
    sent = send_until_blocked(client)
    timeout_s = rto_s(client)
    hosts.network.sleep(30.0)
    closed = [segment for segment in hosts.at_client() if segment.source == hosts.server_address and not segment.window]
    assert closed
    probes = [segment for segment in hosts.sent_by_client() if segment.time_s > closed[0].time_s]
    assert all(segment.payload_bytes == 0 for segment in probes)
    assert len(probes) >= 6
    # The timer is armed again by the answer to each probe, one round trip later.
    expected = backoff_s(probes[0].time_s, 2 * timeout_s, len(probes), armed_after_s=RTT_S)
    assert times(probes) == pytest.approx(expected, abs=EXACT_S)
    received = 0
    while received < sent:
        received += len(server.recv(65536))
    assert received == sent


@pytest.mark.real_time_budget(100)
def test_window_update_that_is_lost_is_found_by_a_probe(hosts: Hosts) -> None:
    """The receiver reads all, its window update is lost: the next probe finds the window open, and data flows on."""
    client, server = hosts.connect(server=[(SOL_SOCKET, SO_RCVBUF, 8192)])
    sent = send_until_blocked(client)
    timeout_s = rto_s(client)
    hosts.network.link("h1-h2").set(toward="h1", loss_ratio=1.0)
    read_s = hosts.network.now()
    received = len(server.recv(65536))
    hosts.network.sleep(RTT_S)
    hosts.network.link("h1-h2").set(toward="h1", loss_ratio=0.0)
    restored_s = hosts.network.now()
    while received < sent:
        received += len(server.recv(65536))
    assert received == sent
    lost = [segment for segment in from_server(hosts, hosts.at_server()) if read_s <= segment.time_s < restored_s]
    assert [segment.window > 0 for segment in lost] == [True]
    heard = from_server(hosts, hosts.at_client())
    [*_, closed] = [segment for segment in heard if segment.time_s < restored_s]
    assert closed.window == 0
    [*probes, data] = until_data(hosts, next(segment.time_s for segment in heard if segment.window == 0))
    assert times(probes) == pytest.approx(
        backoff_s(probes[0].time_s, 2 * timeout_s, len(probes), armed_after_s=RTT_S), abs=EXACT_S
    )
    assert [probe.time_s > restored_s for probe in probes] == [False] * (len(probes) - 1) + [True]
    answer = next(segment for segment in heard if segment.time_s > restored_s)
    assert answer.window > 0
    assert answer.time_s == pytest.approx(probes[-1].time_s + RTT_S, abs=EXACT_S)
    assert data.time_s == pytest.approx(answer.time_s, abs=EXACT_S)


def from_server(hosts: Hosts, found: Sequence[Segment]) -> list[Segment]:
    """Give those segments that the server sent."""
    return [segment for segment in found if segment.source == hosts.server_address]


def until_data(hosts: Hosts, since_s: float) -> list[Segment]:
    """Give what the client sends after a time, up to the first segment with data."""
    sent = [segment for segment in hosts.sent_by_client() if segment.time_s > since_s]
    return sent[: 1 + next(number for number, segment in enumerate(sent) if segment.payload_bytes)]
