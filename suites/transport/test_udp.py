# SPDX-License-Identifier: MIT
"""UDP where it meets IP: nobody there, wrong checksums, datagrams larger than a frame (RFC 768, RFC 1122, 4.1)."""

from __future__ import annotations

from socket import SOCK_DGRAM, SOL_SOCKET
from typing import TYPE_CHECKING

import pytest

from suites.common import ip_wire
from suites.common.transfer import PORT
from suites.transport.scenario import DELAY_S, RTT_S, both_versions, wire
from testbed.backends.sockets import NetworkTimeout

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts
    from testbed.backends.sockets import RemoteSocket

pytestmark = [wire, pytest.mark.requires("netem")]

BEFORE_UDP = {4: 14 + 20, 6: 14 + 40}
UDP_HEADER_BYTES = 8
LARGE = bytes(range(250)) * 16  # 4000 bytes: three frames
FRAGMENTS = 3
SO_NO_CHECK = 11


def sockets(hosts: Hosts) -> tuple[RemoteSocket, RemoteSocket]:
    """Make a sender, and a receiver that is bound to the server's port."""
    sender, receiver = (hosts.open(node, SOCK_DGRAM) for node in (hosts.client, hosts.server))
    receiver.bind((hosts.server_address, PORT))
    receiver.timeout = 1.0
    return sender, receiver


@both_versions
def test_closed_port_is_told_to_a_connected_socket(hosts: Hosts) -> None:
    """The server answers with ICMP "port unreachable", and the next call of a connected socket is refused."""
    sender = hosts.open(hosts.client, SOCK_DGRAM)
    sender.connect((hosts.server_address, PORT))
    sender.send(b"anybody?")
    with pytest.raises(ConnectionRefusedError):
        sender.recv(100)
    protocol, kind, code = {4: (ip_wire.ICMP, 3, 3), 6: (ip_wire.ICMPV6, 1, 4)}[hosts.version]
    told = [packet.body[:2] for packet in hosts.packets_at("h1", protocol)]
    assert bytes((kind, code)) in told


@both_versions
def test_empty_datagram_arrives(hosts: Hosts) -> None:
    """No payload is a payload: the receiver gets a datagram of 0 bytes, and its sender's address."""
    sender, receiver = sockets(hosts)
    sender.sendto(b"", (hosts.server_address, PORT))
    data, address = receiver.recvfrom(100)
    assert data == b""
    assert address[0] == hosts.client_address


@both_versions
def test_too_long_datagram_is_cut_for_a_small_buffer(hosts: Hosts) -> None:
    """What does not fit is gone, and MSG_TRUNC says so; the next datagram is not touched."""
    sender, receiver = sockets(hosts)
    for word in (b"0123456789", b"next"):
        sender.sendto(word, (hosts.server_address, PORT))
    data, flags, _ = receiver.recvmsg(4)
    assert data == b"0123"
    assert flags & 0x20  # MSG_TRUNC
    assert receiver.recv(100) == b"next"


@both_versions
def test_wrong_checksum_is_dropped(hosts: Hosts) -> None:
    """A copy with one flipped bit is not delivered; one that is right is."""
    sender, receiver = sockets(hosts)
    sender.sendto(b"checked", (hosts.server_address, PORT))
    assert receiver.recv(100) == b"checked"
    frames = [bytearray(frame.data) for frame in hosts.network.link("h1-h2").frames("h2")]
    size = BEFORE_UDP[hosts.version] + UDP_HEADER_BYTES + len(b"checked")
    right = next(frame for frame in frames if len(frame) == size)
    wrong = bytearray(right)
    wrong[-1] ^= 1
    hosts.server.inject("eth0", bytes(wrong))
    with pytest.raises(NetworkTimeout):
        receiver.recv(100)
    hosts.server.inject("eth0", bytes(right))
    assert receiver.recv(100) == b"checked"


def test_checksum_may_be_left_out_over_ipv4(hosts: Hosts) -> None:
    """With SO_NO_CHECK the field is 0, which means that there is none, and the datagram is taken."""
    sender, receiver = sockets(hosts)
    sender.setsockopt(SOL_SOCKET, SO_NO_CHECK, 1)
    sender.sendto(b"unchecked", (hosts.server_address, PORT))
    assert receiver.recv(100) == b"unchecked"
    assert hosts.packets_at("h2", ip_wire.UDP)[-1].body[6:8] == b"\0\0"


@both_versions
def test_large_datagram_travels_infragments(hosts: Hosts) -> None:
    """4000 bytes leave in three frames, at once, and are one datagram again after one delay of the link."""
    sender, receiver = sockets(hosts)
    began_s = hosts.network.now()
    sender.sendto(LARGE, (hosts.server_address, PORT))
    assert receiver.recv(8192) == LARGE
    assert hosts.network.now() - began_s == pytest.approx(DELAY_S, abs=1e-3)
    assert len([frame for frame in hosts.network.link("h1-h2").frames("h2") if frame.length > 1000]) == FRAGMENTS


@both_versions
@pytest.mark.real_time_budget(70)
def test_datagram_with_a_lost_fragment_is_given_up(hosts: Hosts) -> None:
    """The rest of it waits for the missing one, in vain: nothing is delivered, but for the datagrams after it.

    Over IPv6 the sender is told so after a minute ("fragment reassembly time exceeded", RFC 8200, section 4.5);
    over IPv4 after 30 s.
    """
    sender, receiver = sockets(hosts)
    first, *_, last = fragments(hosts, sender)
    for frame in (first, last):
        hosts.server.inject("eth0", frame)
    sender.sendto(b"next", (hosts.server_address, PORT))
    assert receiver.recv(8192) == b"next"
    with pytest.raises(NetworkTimeout):
        receiver.recv(8192)
    hosts.network.sleep(65.0)
    protocol, kind, code = {4: (ip_wire.ICMP, 11, 1), 6: (ip_wire.ICMPV6, 3, 1)}[hosts.version]
    told = [packet for packet in hosts.packets_at("h1", protocol) if packet.body[:2] == bytes((kind, code))]
    assert len(told) == 1


def fragments(hosts: Hosts, sender: RemoteSocket) -> list[bytes]:
    """Send the large datagram into a black hole, and give its frames as the client sent them."""
    hosts.black_hole()
    sender.sendto(LARGE, (hosts.server_address, PORT))
    hosts.network.sleep(RTT_S)
    hosts.black_hole(on=False)
    frames = hosts.network.link("h1-h2").frames("h1")
    return [bytes(frame.data) for frame in frames if frame.length > 1000]
