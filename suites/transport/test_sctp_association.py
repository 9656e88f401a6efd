# SPDX-License-Identifier: MIT
"""How SCTP associations begin and end, and how their losses are found (RFC 9260, sections 5, 6, 9)."""

from __future__ import annotations

import errno
import struct
from socket import SO_LINGER, SOCK_STREAM, SOL_SOCKET
from typing import TYPE_CHECKING

import pytest

from suites.common import ip_wire
from suites.common.errors import raises_errno
from suites.common.timer_wheel import backoff_s, fires_s
from suites.common.transfer import PORT
from suites.transport import sctp_options, sctp_wire
from suites.transport.hosts import FOREVER_MS, sysctl
from suites.transport.scenario import DELAY_S, RTT_S, both_versions, wire
from suites.transport.sctp_options import IPPROTO_SCTP, NODELAY
from suites.transport.sctp_wire import Kind

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts, SocketOption
    from suites.transport.sctp_wire import Chunk
    from testbed.backends.sockets import RemoteSocket

pytestmark = [wire, pytest.mark.requires("sctp", "netem")]

INITIAL_RTO_S, LEAST_RTO_S, MOST_RTO_S = 3.0, 1.0, 60.0  # net.sctp.rto_*
INIT_RETRANSMISSIONS, ASSOCIATION_RETRANSMISSIONS = 8, 10  # net.sctp.max_init_retransmits, association_max_retrans
SIZE = 1000
EXACT_S = 1e-4


def associate(
    hosts: Hosts, *, client: tuple[SocketOption, ...] = (), server: tuple[SocketOption, ...] = ()
) -> tuple[RemoteSocket, RemoteSocket]:
    """Make an association of the one-to-one style."""
    return hosts.connect(kind=SOCK_STREAM, protocol=IPPROTO_SCTP, client=[NODELAY, *client], server=server)


def at(hosts: Hosts, end: str) -> list[Chunk]:
    """Give the chunks at a host, but those of heartbeats."""
    found = sctp_wire.chunks(hosts.network, "h1-h2", end)
    return [chunk for chunk in found if chunk.kind not in (Kind.HEARTBEAT, Kind.HEARTBEAT_ACK)]


@both_versions
def test_four_way_handshake_keeps_no_state_before_the_cookie(hosts: Hosts) -> None:
    """INIT, INIT-ACK, COOKIE-ECHO, COOKIE-ACK; the cookie comes back as it was, and tags are those of the INITs."""
    client, server = associate(hosts)
    assert sctp_options.state(client) == sctp_options.state(server) == sctp_options.ESTABLISHED
    init, init_ack, echo, ack = at(hosts, "h1")[:4]
    kinds = [chunk.kind for chunk in (init, init_ack, echo, ack)]
    assert kinds == [Kind.INIT, Kind.INIT_ACK, Kind.COOKIE_ECHO, Kind.COOKIE_ACK]
    assert init.tag == 0
    assert init_ack.tag == ack.tag == init.initiate_tag
    assert echo.tag == init_ack.initiate_tag
    [cookie] = [value for kind, value in init_ack.parameters() if kind == 7]
    assert echo.body == cookie
    assert ack.time_s - init.time_s == pytest.approx(2 * RTT_S, abs=1e-3)


def test_checksum_is_the_crc32c(hosts: Hosts) -> None:
    """Every packet has the CRC32c of all its bytes, least significant byte first."""
    client, server = associate(hosts)
    client.send(b"checked")
    assert server.recv(100) == b"checked"
    for packet in hosts.packets_at("h1", ip_wire.SCTP):
        (found,) = struct.unpack_from("<I", packet.body, 8)
        assert found == sctp_wire.checksum(packet.body)


def test_wrong_checksum_is_dropped(hosts: Hosts) -> None:
    """A data chunk with a flipped bit is not delivered; the sender repeats it, and it arrives once and right."""
    client, server = associate(hosts)
    hosts.network.link("h1-h2").set(toward="h2", corrupt_ratio=1.0)
    client.send(bytes(SIZE))
    hosts.network.sleep(2 * DELAY_S)
    hosts.network.link("h1-h2").set(toward="h2", corrupt_ratio=0.0)
    assert server.recv(2 * SIZE) == bytes(SIZE)
    numbers = [chunk.number for chunk in sctp_wire.of_kind(at(hosts, "h1"), Kind.DATA)]
    assert len(numbers) == 2
    assert len(set(numbers)) == 1


@both_versions
def test_closed_port_aborts_the_handshake(hosts: Hosts) -> None:
    """INIT to a port where nobody listens is answered by ABORT with its tag: connection refused."""
    connecting = hosts.open(hosts.client, SOCK_STREAM, IPPROTO_SCTP)
    with pytest.raises(ConnectionRefusedError):
        connecting.connect((hosts.server_address, PORT))
    init, abort = at(hosts, "h1")
    assert (init.kind, abort.kind) == (Kind.INIT, Kind.ABORT)
    assert abort.tag == init.initiate_tag


@both_versions
def test_shutdown_takes_three_chunks(hosts: Hosts) -> None:
    """SHUTDOWN, SHUTDOWN-ACK, SHUTDOWN-COMPLETE: there is no half-closed association and no TIME_WAIT."""
    client, server = associate(hosts)
    client.send(b"last words")
    client.close()
    assert server.recv(100) == b"last words"
    assert server.recv(100) == b""
    hosts.network.sleep(2 * RTT_S)
    ending = [chunk for chunk in at(hosts, "h1") if Kind.SHUTDOWN <= chunk.kind <= Kind.SHUTDOWN_COMPLETE]
    ending = [chunk for chunk in ending if chunk.kind not in (Kind.COOKIE_ECHO, Kind.COOKIE_ACK)]
    assert [chunk.kind for chunk in ending] == [Kind.SHUTDOWN, Kind.SHUTDOWN_ACK, Kind.SHUTDOWN_COMPLETE]
    assert [chunk.source for chunk in ending] == [hosts.client_address, hosts.server_address, hosts.client_address]


def test_linger_of_zero_aborts(hosts: Hosts) -> None:
    """close() with SO_LINGER of 0 s sends ABORT, and the peer reads ECONNRESET."""
    client, server = associate(hosts, client=((SOL_SOCKET, SO_LINGER, struct.pack("=ii", 1, 0)),))
    client.close()
    with pytest.raises(ConnectionResetError):
        server.recv(1)
    assert at(hosts, "h2")[-1].kind == Kind.ABORT


@pytest.mark.real_time_budget(400)
def test_lost_init_is_sent_again_with_doubling_timeouts(hosts: Hosts) -> None:
    """INIT goes out nine times, 3 s, 6 s, 12 s, ... up to 60 s after each other; then the connect fails."""
    hosts.black_hole()
    connecting = hosts.open(hosts.client, SOCK_STREAM, IPPROTO_SCTP)
    connecting.timeout = None
    with raises_errno(errno.ETIMEDOUT):
        connecting.connect((hosts.server_address, PORT))
    ended_s = hosts.network.now()
    times = [chunk.time_s for chunk in at(hosts, "h1")]
    assert len(times) == 1 + INIT_RETRANSMISSIONS
    expected = backoff_s(times[0], INITIAL_RTO_S, 2 + INIT_RETRANSMISSIONS, most_s=MOST_RTO_S)
    assert [*times, ended_s] == pytest.approx(expected, abs=EXACT_S)


@both_versions
@pytest.mark.real_time_budget(450)
def test_data_is_sent_again_until_the_association_is_given_up(hosts: Hosts) -> None:
    """T3-rtx doubles from a second to 60 s; after ten retransmissions the peer is dead (sections 6.3, 8.1)."""
    for name, value in (("hb_interval", FOREVER_MS), ("pf_enable", 0)):
        sysctl(hosts.client, f"net.sctp.{name}", value)  # heartbeats that are lost would double the time-out as well
    client, server = associate(hosts)
    client.send(b"measure")
    server.recv(100)
    hosts.network.sleep(1.0)
    hosts.black_hole()
    client.send(b"nobody will ever see this")
    client.timeout = None
    with raises_errno(errno.ETIMEDOUT):
        client.recv(1)
    ended_s = hosts.network.now()
    data = sctp_wire.of_kind(at(hosts, "h1"), Kind.DATA)[1:]
    assert len({chunk.number for chunk in data}) == 1
    times = [chunk.time_s for chunk in data]
    assert len(times) == 1 + ASSOCIATION_RETRANSMISSIONS
    expected = backoff_s(times[0], LEAST_RTO_S, 2 + ASSOCIATION_RETRANSMISSIONS, most_s=MOST_RTO_S)
    assert [*times, ended_s] == pytest.approx(expected, abs=EXACT_S)


@both_versions
def test_gap_blocks_tell_what_arrived_behind_a_hole(hosts: Hosts) -> None:
    """SACKs name the block behind the hole; after three of them the hole is filled, before any time-out."""
    client, server = associate(hosts)
    client.send(bytes(SIZE))
    server.recv(2 * SIZE)
    hosts.network.sleep(1.0)
    began_s = hosts.network.now()
    for number in range(1, 7):
        hosts.black_hole(on=number == 2)
        client.send(bytes([number]) * SIZE)
    assert [server.recv(2 * SIZE)[0] for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    found = [chunk for chunk in at(hosts, "h1") if chunk.time_s >= began_s]
    data = sctp_wire.of_kind(found, Kind.DATA)
    hole = data[1].number
    gaps = [chunk.gaps for chunk in sctp_wire.of_kind(found, Kind.SACK) if chunk.gaps]
    assert gaps[0] == [(hole + 1, hole + 1)]
    assert gaps[-1][0][0] == hole + 1
    again = [chunk for chunk in data if chunk.number == hole]
    assert len(again) == 2
    assert again[1].time_s - again[0].time_s < LEAST_RTO_S / 2
    reports = sctp_wire.of_kind(found[: found.index(again[1])], Kind.SACK)
    assert sum(bool(chunk.gaps) for chunk in reports) == 3


def test_lone_chunk_is_acknowledged_200_ms_later(hosts: Hosts) -> None:
    """A SACK may wait for 200 ms, or for a second packet (section 6.2; net.sctp's SCTP_DEFAULT_TIMEOUT_SACK)."""
    client, server = associate(hosts)
    for _ in range(3):
        client.send(b"x")
        server.recv(1)
        hosts.network.sleep(1.0)
    data = sctp_wire.of_kind(at(hosts, "h2"), Kind.DATA)[-1]
    sack = sctp_wire.of_kind(at(hosts, "h2"), Kind.SACK)[-1]
    assert sack.time_s == pytest.approx(fires_s(data.time_s, 0.2), abs=EXACT_S)
