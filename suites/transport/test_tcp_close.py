# SPDX-License-Identifier: MIT
"""How TCP connections end: in order, one way only, at the same time, or by RST (RFC 9293, sections 3.5.2 and 3.6)."""

from __future__ import annotations

import struct
from socket import SHUT_WR, SO_LINGER, SO_REUSEADDR, SOL_SOCKET
from typing import TYPE_CHECKING

import pytest

from suites.common.tcp_wire import ACK, FIN, RST
from suites.common.timer_wheel import fires_s
from suites.common.transfer import PORT
from suites.transport.scenario import RTT_S, both_versions, wire
from suites.transport.tcp_options import CLOSE, CLOSE_WAIT, FIN_WAIT1, FIN_WAIT2, LAST_ACK, TIME_WAIT, state

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts
    from testbed.backends.node import Node

pytestmark = [wire, pytest.mark.requires("netem")]

TIME_WAIT_S = 60.0  # TCP_TIMEWAIT_LEN
REUSE = (SOL_SOCKET, SO_REUSEADDR, 1)
LINGER_0 = (SOL_SOCKET, SO_LINGER, struct.pack("=ii", 1, 0))


def states(node: Node) -> list[int]:
    """Give the states of all TCP connections of a node but those that listen (proc_net_tcp of the kernel's manual)."""
    lines = [line.split() for table in ("tcp", "tcp6") for line in rows(node, table)]
    return sorted(int(words[3], 16) for words in lines if words[3] != "0A")


def rows(node: Node, table: str) -> list[str]:
    """Give the rows of a node's table of sockets."""
    return node.run(["cat", f"/proc/net/{table}"]).stdout.splitlines()[1:]


@both_versions
def test_each_side_closes_its_own_direction(hosts: Hosts) -> None:
    """FIN, ACK, FIN, ACK: the states are FIN_WAIT1, FIN_WAIT2 and TIME_WAIT here, CLOSE_WAIT and none there."""
    client, server = hosts.connect()
    client.shutdown(SHUT_WR)
    assert state(client) == FIN_WAIT1
    hosts.network.sleep(1.5 * RTT_S)
    assert (state(client), state(server)) == (FIN_WAIT2, CLOSE_WAIT)
    server.close()
    hosts.network.sleep(2 * RTT_S)
    assert state(client) == CLOSE
    client.close()
    assert (states(hosts.client), states(hosts.server)) == ([TIME_WAIT], [])
    ending = [segment for segment in hosts.at_client() if segment.flags & FIN]
    assert [segment.source for segment in ending] == [hosts.client_address, hosts.server_address]
    assert hosts.at_client()[-1].acknowledgement == ending[1].end


@both_versions
def test_half_closed_connection_carries_the_other_direction(hosts: Hosts) -> None:
    """After its FIN the client sends nothing more, but receives all that the server still has to say."""
    client, server = hosts.connect()
    client.sendall(b"question")
    client.shutdown(SHUT_WR)
    assert server.recv_all() == b"question"
    answer = bytes(range(256)) * 100
    server.sendall(answer)
    server.close()
    assert client.recv_all() == answer
    with pytest.raises(BrokenPipeError):
        client.send(b"more")


def test_simultaneous_close_ends_in_time_wait_on_both_sides(hosts: Hosts) -> None:
    """Both FINs cross on the wire: CLOSING, and TIME_WAIT at both ends (RFC 9293, figure 13)."""
    client, server = hosts.connect()
    hosts.network.sleep(RTT_S)
    client.close()
    server.close()
    hosts.network.sleep(0.75 * RTT_S)
    assert (states(hosts.client), states(hosts.server)) == ([11], [11])
    hosts.network.sleep(RTT_S)
    assert (states(hosts.client), states(hosts.server)) == ([TIME_WAIT], [TIME_WAIT])


@pytest.mark.real_time_budget(70)
def test_time_wait_lasts_a_minute_and_keeps_the_port(hosts: Hosts) -> None:
    """The port of a server that closed first cannot be bound for 60 s, unless both old and new socket allow it."""
    client, server = hosts.connect(server=[REUSE])
    server.close()
    hosts.network.sleep(RTT_S)
    client.close()
    hosts.network.sleep(1.5 * RTT_S)
    began_s = hosts.at_server()[-1].time_s
    with pytest.raises(OSError, match="in use"):
        hosts.listen()
    hosts.listen(options=[REUSE]).close()
    end_s = fires_s(began_s, TIME_WAIT_S)
    assert end_s - began_s == pytest.approx(TIME_WAIT_S, abs=TIME_WAIT_S / 8)
    hosts.network.sleep_until(end_s - 0.05)
    assert states(hosts.server) == [TIME_WAIT]
    hosts.network.sleep_until(end_s + 0.05)
    assert states(hosts.server) == []
    hosts.listen().close()


@both_versions
def test_linger_of_zero_resets_the_connection(hosts: Hosts) -> None:
    """close() with SO_LINGER of 0 s sends RST, the peer reads ECONNRESET, and nobody waits."""
    client, server = hosts.connect(client=[LINGER_0])
    client.close()
    with pytest.raises(ConnectionResetError):
        server.recv(1)
    assert hosts.at_server()[-1].flags == RST | ACK
    assert (states(hosts.client), states(hosts.server)) == ([], [])


def test_close_with_unread_data_resets_the_connection(hosts: Hosts) -> None:
    """Data that was acknowledged but never read makes close() an RST: the peer must not believe it was read."""
    client, server = hosts.connect()
    client.send(b"unread")
    hosts.network.sleep(RTT_S)
    server.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert [segment.flags & RST for segment in hosts.at_client() if segment.source == hosts.server_address][-1]


def test_data_for_a_closed_connection_is_answered_by_rst(hosts: Hosts) -> None:
    """The peer has closed both ways: what is sent to it comes back as RST, and the next send fails with EPIPE."""
    client, server = hosts.connect()
    server.close()
    hosts.network.sleep(RTT_S)
    client.send(b"too late")
    hosts.network.sleep(2 * RTT_S)
    assert hosts.at_client()[-1].flags & RST
    with pytest.raises(BrokenPipeError):
        client.send(b"later still")


def test_lost_fin_is_sent_again(hosts: Hosts) -> None:
    """A FIN into a black hole is repeated as data is; once it arrives, the stream ends for the reader."""
    client, server = hosts.connect()
    hosts.black_hole()
    client.close()
    hosts.network.sleep(0.1)
    hosts.black_hole(on=False)
    assert server.recv(1) == b""
    fins = [segment for segment in hosts.sent_by_client() if segment.flags & FIN]
    assert len(fins) == 2
    assert fins[0].sequence == fins[1].sequence


def test_last_ack_ends_by_the_peers_acknowledgement(hosts: Hosts) -> None:
    """The side that closes second waits in LAST_ACK for one round trip."""
    client, server = hosts.connect(port=PORT)
    client.close()
    assert server.recv(1) == b""
    server.close()
    assert states(hosts.server) == [LAST_ACK]
    hosts.network.sleep(1.5 * RTT_S)
    assert states(hosts.server) == []
