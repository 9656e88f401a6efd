# SPDX-License-Identifier: MIT
"""How TCP connections begin: three segments, their options, and what happens when one is lost (RFC 9293, 3.5)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from suites.common.errors import raises_errno
from suites.common.tcp_wire import ACK, RST, SYN
from suites.common.timer_wheel import backoff_s, fires_s
from suites.common.transfer import PORT
from suites.transport.hosts import sysctl
from suites.transport.scenario import DELAY_S, RTT_S, both_versions, wire
from suites.transport.tcp_options import ESTABLISHED, state
from testbed.backends.sockets import NetworkTimeout

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts

pytestmark = [wire, pytest.mark.requires("netem")]

HEADERS = {4: 40, 6: 60}  # IP and TCP, without options
MTU = 1500
FIRST_TIMEOUT_S = 1.0  # RFC 6298, section 2.1
LINEAR = "/proc/sys/net/ipv4/tcp_syn_linear_timeouts"  # since Linux 6.5


@both_versions
def test_three_segments_open_a_connection(hosts: Hosts) -> None:
    """SYN, SYN-ACK and ACK each take the link's delay, and acknowledge each other's numbers."""
    client, server = hosts.connect()
    assert (state(client), state(server)) == (ESTABLISHED, ESTABLISHED)
    syn, syn_ack, ack = hosts.at_server()
    assert [segment.flags for segment in (syn, syn_ack, ack)] == [SYN, SYN | ACK, ACK]
    assert syn_ack.acknowledgement == ack.sequence == syn.end
    assert ack.acknowledgement == syn_ack.end
    assert syn.time_s == pytest.approx(hosts.at_client()[0].time_s + DELAY_S, abs=1e-6)
    assert ack.time_s - syn_ack.time_s == pytest.approx(RTT_S, abs=1e-4)


@both_versions
def test_syn_tells_what_the_sender_can_do(hosts: Hosts) -> None:
    """Both SYNs have the MSS of the MTU, a window scale, SACK permitted and timestamps; later ones only timestamps."""
    hosts.connect()
    syn, syn_ack, ack = hosts.at_client()
    for segment in (syn, syn_ack):
        assert segment.mss == MTU - HEADERS[hosts.version]
        assert segment.window_scale is not None
        assert segment.window_scale > 0
        assert [kind for kind, _ in segment.tcp_options] == [2, 4, 8, 3]
    assert [kind for kind, _ in ack.tcp_options] == [8]


def test_initial_sequence_numbers_differ(hosts: Hosts) -> None:
    """Two connections between the same hosts begin at numbers that nobody can guess from each other (RFC 6528)."""
    for port in (PORT, PORT + 1):
        hosts.connect(port=port)
    first, second = (segment.sequence for segment in hosts.sent_by_client() if segment.flags == SYN)
    assert abs(first - second) > 2**16


@both_versions
def test_closed_port_resets_the_connection(hosts: Hosts) -> None:
    """A SYN to a port where nobody listens is answered by RST with its number acknowledged: connection refused."""
    with pytest.raises(ConnectionRefusedError):
        hosts.open(hosts.client).connect((hosts.server_address, PORT))
    syn, reset = hosts.at_client()
    assert reset.flags == RST | ACK
    assert reset.acknowledgement == syn.end


@pytest.mark.real_time_budget(130)
def test_lost_syn_is_sent_again_after_1_3_7_seconds(hosts: Hosts) -> None:
    """The time-out doubles from one second on; the connection is given up after six retransmissions."""
    if has_linear_timeouts(hosts):
        sysctl(hosts.client, "net.ipv4.tcp_syn_linear_timeouts", 0)
    hosts.black_hole()
    connecting = hosts.open(hosts.client)
    connecting.timeout = None
    with raises_errno(errno.ETIMEDOUT):
        connecting.connect((hosts.server_address, PORT))
    ended_s = hosts.network.now()
    times = [segment.time_s for segment in hosts.sent_by_client()]
    expected = backoff_s(times[0], FIRST_TIMEOUT_S, 8)
    assert [*times, ended_s] == pytest.approx(expected, abs=1e-4)
    whole = [round(time - times[0]) for time in times]
    assert whole[:4] == [0, 1, 3, 7]


@pytest.mark.real_time_budget(40)
def test_first_syns_are_repeated_every_second(hosts: Hosts) -> None:
    """With tcp_syn_linear_timeouts, four time-outs of a second come on top of the first one before they double."""
    if not has_linear_timeouts(hosts):
        pytest.skip("this kernel has no net.ipv4.tcp_syn_linear_timeouts (Linux 6.5)")
    sysctl(hosts.client, "net.ipv4.tcp_syn_linear_timeouts", 4)
    hosts.black_hole()
    connecting = hosts.open(hosts.client)
    connecting.timeout = 12.0
    with pytest.raises(NetworkTimeout):
        connecting.connect((hosts.server_address, PORT))
    times = [segment.time_s for segment in hosts.sent_by_client()]
    expected = times[:1]
    for timeout_s in (1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0):
        expected.append(fires_s(expected[-1], timeout_s))
    assert times == pytest.approx(expected, abs=1e-4)


@pytest.mark.real_time_budget(10)
def test_lost_syn_ack_is_sent_again(hosts: Hosts) -> None:
    """The server repeats its SYN-ACK after a second, and with it the connection is there."""
    listener = hosts.listen()
    hosts.network.link("h1-h2").set(toward="h1", loss_ratio=1.0)
    connecting = hosts.open(hosts.client)
    connecting.timeout = 0.5
    with pytest.raises(NetworkTimeout):
        connecting.connect((hosts.server_address, PORT))
    hosts.network.link("h1-h2").set(toward="h1", loss_ratio=0.0)
    accepted, _ = listener.accept()
    assert state(accepted) == state(connecting) == ESTABLISHED
    syns = [segment.time_s for segment in hosts.at_server() if segment.flags & SYN and segment.flags & ACK]
    assert syns[1] - syns[0] == pytest.approx(FIRST_TIMEOUT_S, abs=0.12)


@both_versions
def test_simultaneous_open_makes_one_connection(hosts: Hosts) -> None:
    """Both ends send a SYN at the same time; each answers with SYN-ACK, and they are connected (RFC 9293, figure 7)."""
    ends = (hosts.client, hosts.client_address), (hosts.server, hosts.server_address)
    sockets = []
    for node, address in ends:
        sockets.append(hosts.open(node))
        sockets[-1].bind((address, PORT))
    one, two = sockets
    one.timeout = 0.0
    with pytest.raises(NetworkTimeout):
        one.connect((hosts.server_address, PORT))
    two.connect((hosts.client_address, PORT))
    hosts.network.sleep(RTT_S)
    assert (state(one), state(two)) == (ESTABLISHED, ESTABLISHED)
    one.timeout = 1.0
    one.send(b"one")
    two.send(b"two")
    assert (two.recv(3), one.recv(3)) == (b"one", b"two")
    opening = [segment for segment in hosts.at_client() if segment.flags & SYN]
    assert sorted(segment.flags for segment in opening) == [SYN, SYN, SYN | ACK, SYN | ACK]


def test_full_backlog_drops_syns_until_there_is_room(hosts: Hosts) -> None:
    """With a backlog of 0 one connection waits; the next one's SYNs get no answer until the first is accepted."""
    sysctl(hosts.server, "net.ipv4.tcp_syncookies", 0)
    listener = hosts.open(hosts.server)
    listener.bind((hosts.server_address, PORT))
    listener.listen(0)
    first, second = hosts.open(hosts.client), hosts.open(hosts.client)
    first.connect((hosts.server_address, PORT))
    second.timeout = 0.5
    with pytest.raises(NetworkTimeout):
        second.connect((hosts.server_address, PORT))
    listener.accept()
    hosts.network.sleep(2.0)
    assert state(second) == ESTABLISHED
    port = second.getsockname()[1]
    assert sum(segment.flags == SYN and segment.source_port == port for segment in hosts.at_client()) == 2


def has_linear_timeouts(hosts: Hosts) -> bool:
    """Say whether the kernel knows tcp_syn_linear_timeouts."""
    try:
        hosts.client.read(LINEAR)
    except FileNotFoundError:
        return False
    return True
