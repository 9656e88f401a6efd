# SPDX-License-Identifier: MIT
"""Messages and streams of SCTP: what is kept together, what is kept in order, and what is not (RFC 9260, section 6)."""

from __future__ import annotations

from socket import SOCK_STREAM
from typing import TYPE_CHECKING

import pytest

from suites.transport import sctp_options, sctp_wire
from suites.transport.scenario import DELAY_S, RTT_S, both_versions, wire
from suites.transport.sctp_options import IPPROTO_SCTP, NODELAY, UNORDERED
from suites.transport.sctp_wire import Kind

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts
    from testbed.backends.sockets import RemoteSocket

pytestmark = [wire, pytest.mark.requires("sctp", "netem")]

MSG_EOR = 0x80


def associate(hosts: Hosts, streams: int = 10) -> tuple[RemoteSocket, RemoteSocket]:
    """Make an association with so many streams."""
    return hosts.connect(
        kind=SOCK_STREAM, protocol=IPPROTO_SCTP, client=[NODELAY, sctp_options.init(streams)], server=[NODELAY]
    )


def send_lost(hosts: Hosts, client: RemoteSocket, data: bytes) -> None:
    """Send a message whose first transmission is lost."""
    hosts.black_hole()
    client.send(data)
    hosts.black_hole(on=False)


@both_versions
def test_messages_keep_their_boundaries(hosts: Hosts) -> None:
    """Three sends are three receives, each ended by MSG_EOR, however much room there is."""
    client, server = associate(hosts)
    words = [b"one", b"twenty" * 20, b"x"]
    for word in words:
        client.send(word)
    hosts.network.sleep(RTT_S)
    received = [server.recvmsg(65536) for _ in words]
    assert [data for data, _, _ in received] == words
    assert all(flags & MSG_EOR for _, flags, _ in received)


@both_versions
def test_long_message_is_cut_and_joined_again(hosts: Hosts) -> None:
    """20,000 bytes go in chunks marked first, middle, ..., last, with numbers in a row, and come out as one message."""
    client, server = associate(hosts)
    message = bytes(range(250)) * 80
    client.send(message)
    received, flags = b"", 0
    while not flags & MSG_EOR:
        data, flags, _ = server.recvmsg(65536)
        received += data
    assert received == message
    found = sctp_wire.of_kind(sctp_wire.chunks(hosts.network, "h1-h2", "h1"), Kind.DATA)
    assert [chunk.place for chunk in found] == ["first", *["middle"] * (len(found) - 2), "last"]
    assert [chunk.number for chunk in found] == [(found[0].number + number) % 2**32 for number in range(len(found))]
    assert sum(chunk.payload_bytes for chunk in found) == len(message)


@pytest.mark.parametrize(("asked", "offered", "agreed"), [(10, 10, 10), (20, 5, 5)], ids=["all", "fewer"])
def test_streams_are_agreed_on_in_the_handshake(hosts: Hosts, asked: int, offered: int, agreed: int) -> None:
    """INIT says how many the client wants, INIT-ACK how many the server takes: the lesser of both count."""
    options = [sctp_options.init(offered, inward=offered)]
    client, server = hosts.connect(
        kind=SOCK_STREAM, protocol=IPPROTO_SCTP, client=[sctp_options.init(asked)], server=options
    )
    init, init_ack = sctp_wire.of_kind(sctp_wire.chunks(hosts.network, "h1-h2", "h1"), Kind.INIT, Kind.INIT_ACK)
    assert init.streams[0] == asked
    assert init_ack.streams[1] == offered
    sctp_options.send_on(client, agreed - 1)
    client.send(b"last stream")
    assert server.recv(100) == b"last stream"
    if agreed < asked:
        sctp_options.send_on(client, agreed)
        with pytest.raises(OSError, match="Invalid argument"):
            client.send(b"one too many")


@both_versions
def test_loss_on_one_stream_does_not_hold_up_another(hosts: Hosts) -> None:
    """The message of stream 1 waits for its retransmission; those of streams 2 and 3 are delivered before it."""
    client, server = associate(hosts)
    client.send(b"begin")
    server.recv(100)
    sctp_options.send_on(client, 1)
    send_lost(hosts, client, b"lost")
    for stream in (2, 3):
        sctp_options.send_on(client, stream)
        client.send(b"stream %d" % stream)
    began_s = hosts.network.now()
    assert [server.recv(100) for _ in range(2)] == [b"stream 2", b"stream 3"]
    assert hosts.network.now() - began_s == pytest.approx(DELAY_S, abs=2e-3)
    assert server.recv(100) == b"lost"
    assert hosts.network.now() - began_s > RTT_S


def test_loss_holds_up_its_own_stream(hosts: Hosts) -> None:
    """What was sent later on the same stream is delivered after what was lost, as in TCP."""
    client, server = associate(hosts)
    client.send(b"begin")
    server.recv(100)
    send_lost(hosts, client, b"lost")
    client.send(b"later")
    began_s = hosts.network.now()
    assert [server.recv(100) for _ in range(2)] == [b"lost", b"later"]
    assert hosts.network.now() - began_s > RTT_S


@both_versions
def test_unordered_message_overtakes_its_stream(hosts: Hosts) -> None:
    """With SCTP_UNORDERED a message is delivered as soon as it is there, even in the stream of one that was lost."""
    client, server = associate(hosts)
    client.send(b"begin")
    server.recv(100)
    send_lost(hosts, client, b"lost")
    client.send(b"ordered")
    sctp_options.send_on(client, 0, flags=UNORDERED)
    client.send(b"unordered")
    assert [server.recv(100) for _ in range(3)] == [b"unordered", b"lost", b"ordered"]
    found = sctp_wire.of_kind(sctp_wire.chunks(hosts.network, "h1-h2", "h1"), Kind.DATA)
    assert [chunk.unordered for chunk in found[:4]] == [False, False, False, True]


def test_message_is_given_up_after_its_lifetime(hosts: Hosts) -> None:
    """Partial reliability: what was not acknowledged in 500 ms is skipped by FORWARD-TSN, and never delivered."""
    client, server = associate(hosts)
    client.send(b"begin")
    server.recv(100)
    hosts.network.sleep(1.0)
    sctp_options.limit_lifetime(client, 500)
    send_lost(hosts, client, b"too old soon")
    hosts.network.sleep(5.0)
    sctp_options.limit_lifetime(client, 0)
    client.send(b"after")
    assert server.recv(100) == b"after"
    found = sctp_wire.chunks(hosts.network, "h1-h2", "h1")
    lost = next(chunk for chunk in sctp_wire.of_kind(found, Kind.DATA) if chunk.payload_bytes == len(b"too old soon"))
    skips = sctp_wire.of_kind(found, Kind.FORWARD_TSN)
    assert skips[0].number == lost.number
    assert skips[0].time_s > lost.time_s + 0.5
