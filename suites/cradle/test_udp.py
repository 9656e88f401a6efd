# SPDX-License-Identifier: MIT
"""Datagrams written by hand (RFC 768, 1122, 8200): to an open port, to a closed one, with wrong checksums."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import ICMP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach
from scapy.packet import Raw

from suites.cradle.counters import counter
from suites.cradle.scenario import both_versions, cable, flight_s
from testbed.backends.sockets import NetworkTimeout

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.sockets import RemoteSocket

pytestmark = cable

PORT, GHOST_PORT, CLOSED = 5000, 40_000, 9
PORT_UNREACHABLE = {4: (3, 3), 6: (1, 4)}


def datagram(ghost: Ghost, version: int, port: int = PORT, **fields: Any) -> Any:
    """Make a datagram to the far node."""
    return ghost.ip(version) / UDP(sport=GHOST_PORT, dport=port, **fields) / Raw(b"boo")


def receiver(ghost: Ghost, version: int) -> RemoteSocket:
    """Bind a socket at the far node."""
    sock = ghost.far.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind(("", PORT))
    sock.settimeout(1.0)
    return sock


@both_versions
def test_open_port_receives(ghost: Ghost, version: int) -> None:
    """The socket gets the bytes and the ghost's address and port, and nothing goes back."""
    with receiver(ghost, version) as sock:
        assert ghost.ask(datagram(ghost, version)) == []
        data, sender = sock.recvfrom(100)
    assert (data, *sender[:2]) == (b"boo", ghost.addresses[version], GHOST_PORT)


@both_versions
def test_closed_port_is_reported_at_once(ghost: Ghost, version: int) -> None:
    """The report names the port as unreachable, quotes the datagram, and takes two flights."""
    [report] = ghost.ask(datagram(ghost, version, CLOSED), at=1.0)
    said = report[ICMP] if version == 4 else report[ICMPv6DestUnreach]
    assert (said.type, said.code) == PORT_UNREACHABLE[version]
    [sent] = ghost.sent(UDP)
    header = 14 + 8 if version == 4 else 14
    assert bytes(sent)[14:] in bytes(report)[header:]
    assert report.time - sent.time == pytest.approx(flight_s(sent, report), abs=1e-6)


@both_versions
def test_wrong_checksum_is_dropped_and_counted(ghost: Ghost, version: int) -> None:
    """The socket gets nothing, the sender hears nothing, the node counts one error."""
    name = "UdpInCsumErrors" if version == 4 else "Udp6InCsumErrors"
    with receiver(ghost, version) as sock:
        assert ghost.ask(datagram(ghost, version, chksum=0x1234)) == []
        with pytest.raises(NetworkTimeout):
            sock.recv(100)
    assert counter(ghost.far, name) == 1


@both_versions
def test_datagram_without_a_checksum(ghost: Ghost, version: int) -> None:
    """Zero means "none": IPv4 takes it (RFC 1122, section 4.1.3.4), IPv6 does not (RFC 8200, section 8.1)."""
    with receiver(ghost, version) as sock:
        assert ghost.ask(datagram(ghost, version, chksum=0)) == []
        if version == 4:
            assert sock.recv(100) == b"boo"
        else:
            with pytest.raises(NetworkTimeout):
                sock.recv(100)
