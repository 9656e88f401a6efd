# SPDX-License-Identifier: MIT
"""The partial checksum of UDP-Lite: what it covers must be right, what it does not may be wrong (RFC 3828)."""

from __future__ import annotations

from socket import SOCK_DGRAM
from typing import TYPE_CHECKING

import pytest

from suites.common import ip_wire
from suites.common.transfer import PORT
from suites.transport.scenario import RTT_S, both_versions, bottleneck, wire
from testbed.backends.sockets import IPPROTO_UDPLITE, NetworkTimeout

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts
    from testbed.backends.sockets import RemoteSocket

pytestmark = pytest.mark.requires("udplite", "netem")

SEND_COVERAGE, RECEIVE_COVERAGE = 10, 11  # UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV: include/net/udplite.h
HEADER_BYTES = 8
DATA = bytes(range(100))
BEFORE_UDPLITE = {4: 14 + 20, 6: 14 + 40}


def sockets(hosts: Hosts, coverage: int) -> tuple[RemoteSocket, RemoteSocket]:
    """Make a sender that covers so many bytes, its header included, and a receiver."""
    sender, receiver = (hosts.open(node, SOCK_DGRAM, IPPROTO_UDPLITE) for node in (hosts.client, hosts.server))
    sender.setsockopt(IPPROTO_UDPLITE, SEND_COVERAGE, coverage)
    receiver.bind((hosts.server_address, PORT))
    receiver.timeout = 1.0
    return sender, receiver


def repeat_with_a_flipped_bit(hosts: Hosts, at: int) -> None:
    """Deliver the client's datagram once more, with a bit flipped in the byte at an offset from UDP-Lite's header."""
    frames = [bytearray(frame.data) for frame in hosts.network.link("h1-h2").frames("h2")]
    frame = next(frame for frame in frames if len(frame) == BEFORE_UDPLITE[hosts.version] + HEADER_BYTES + len(DATA))
    frame[BEFORE_UDPLITE[hosts.version] + at] ^= 0x10
    hosts.server.inject("eth0", bytes(frame))


def checksum_errors(hosts: Hosts) -> int:
    """Give how many datagrams the server dropped for their checksum (/proc/net/snmp, /proc/net/snmp6)."""
    if hosts.version == 6:
        rows = hosts.server.run(["cat", "/proc/net/snmp6"]).stdout.splitlines()
        return int(next(row.split()[1] for row in rows if row.startswith("UdpLite6InCsumErrors")))
    rows = [
        row for row in hosts.server.run(["cat", "/proc/net/snmp"]).stdout.splitlines() if row.startswith("UdpLite:")
    ]
    return int(dict(zip(*(row.split() for row in rows), strict=True))["InCsumErrors"])


@wire
@both_versions
def test_coverage_is_in_the_header(hosts: Hosts) -> None:
    """Where UDP has a length, UDP-Lite has how many bytes the checksum covers; 0 is all."""
    sender, receiver = sockets(hosts, 20)
    sender.sendto(DATA, (hosts.server_address, PORT))
    assert receiver.recv(200) == DATA
    sender.setsockopt(IPPROTO_UDPLITE, SEND_COVERAGE, 0)
    sender.sendto(DATA, (hosts.server_address, PORT))
    assert receiver.recv(200) == DATA
    found = [int.from_bytes(packet.body[4:6]) for packet in hosts.packets_at("h2", ip_wire.UDPLITE)]
    assert found[0] == 20
    assert found[1] in (0, HEADER_BYTES + len(DATA))


@wire
@both_versions
def test_damage_beyond_the_coverage_is_delivered(hosts: Hosts) -> None:
    """A flipped bit behind the covered bytes reaches the application, as it asked for."""
    sender, receiver = sockets(hosts, 20)
    sender.sendto(DATA, (hosts.server_address, PORT))
    assert receiver.recv(200) == DATA
    repeat_with_a_flipped_bit(hosts, 60)
    damaged = receiver.recv(200)
    assert [at for at, (one, other) in enumerate(zip(DATA, damaged, strict=True)) if one != other] == [
        60 - HEADER_BYTES
    ]
    assert checksum_errors(hosts) == 0


@wire
@both_versions
@pytest.mark.parametrize("at", [2, 19], ids=["port", "payload"])
def test_damage_within_the_coverage_is_dropped(hosts: Hosts, at: int) -> None:
    """A flipped bit in the header, or in the payload that is covered, ends the datagram's way, and is counted."""
    sender, receiver = sockets(hosts, 20)
    sender.sendto(DATA, (hosts.server_address, PORT))
    assert receiver.recv(200) == DATA
    other = hosts.open(hosts.server, SOCK_DGRAM, IPPROTO_UDPLITE)
    other.bind((hosts.server_address, PORT ^ 0x1000))  # where the damaged port leads to
    repeat_with_a_flipped_bit(hosts, at)
    for waiting in (receiver, other):
        waiting.timeout = RTT_S
        with pytest.raises(NetworkTimeout):
            waiting.recv(200)
    assert checksum_errors(hosts) == 1


@wire
def test_receiver_may_ask_for_more_coverage(hosts: Hosts) -> None:
    """With UDPLITE_RECV_CSCOV of 50 what covers 49 bytes is not taken, what covers 50 or more is."""
    sender, receiver = sockets(hosts, 49)
    receiver.setsockopt(IPPROTO_UDPLITE, RECEIVE_COVERAGE, 50)
    sender.sendto(DATA, (hosts.server_address, PORT))
    with pytest.raises(NetworkTimeout):
        receiver.recv(200)
    for coverage in (50, 60):
        sender.setsockopt(IPPROTO_UDPLITE, SEND_COVERAGE, coverage)
        sender.sendto(DATA, (hosts.server_address, PORT))
        assert receiver.recv(200) == DATA


@bottleneck
@both_versions
@pytest.mark.real_time_budget(10)
def test_damaging_link_delivers_more_with_less_coverage(hosts: Hosts) -> None:
    """Every frame has one flipped bit: with headers only covered most arrive, wrong; with all covered nearly none."""
    hosts.network.link("h1-h2").set(toward="h2", corrupt_ratio=1.0)
    count, arrived = 100, []
    for port, coverage in ((6000, HEADER_BYTES), (6001, 0)):
        options = ["--coverage", str(coverage)] if coverage else []
        pace = ["--interval", "0.001"]
        _, received = hosts.datagrams("udplite", count, sender=[*options, *pace], port=port)
        arrived.append((int(received["received"]), int(received["wrong"])))
    (partly, partly_wrong), (fully, fully_wrong) = arrived
    assert partly > 0.8 * count
    assert partly_wrong > 0.7 * count
    assert fully < 0.2 * count
    assert fully_wrong == 0
