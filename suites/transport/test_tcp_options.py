# SPDX-License-Identifier: MIT
"""TCP options that both ends agree on: timestamps, MSS, Fast Open, MD5 signatures."""

from __future__ import annotations

import hashlib
import ipaddress
import struct
from socket import AF_INET, AF_INET6, IPPROTO_TCP
from typing import TYPE_CHECKING

import pytest

from suites.common.tcp_wire import ACK, OPTION_FAST_OPEN, OPTION_MD5, OPTION_TIMESTAMPS, SYN
from suites.common.transfer import PORT
from suites.transport.hosts import sysctl
from suites.transport.scenario import DELAY_S, RTT_S, both_versions, wire
from suites.transport.tcp_options import NODELAY, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_MAXSEG, TCP_MD5SIG
from testbed.backends import sockaddr
from testbed.backends.sockets import NetworkTimeout

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts, SocketOption
    from testbed.backends.sockets import RemoteSocket

pytestmark = [wire, pytest.mark.requires("netem")]

KEY = b"a secret of both"


@both_versions
def test_timestamps_count_milliseconds_and_are_echoed(hosts: Hosts) -> None:
    """Every segment has its sender's clock, in milliseconds, and the last one of its peer's (RFC 7323, 4)."""
    client, server = hosts.connect(client=[NODELAY])
    for _ in range(3):
        client.send(b"x")
        server.recv(1)
        hosts.network.sleep(0.5)
    found = hosts.at_client()
    own = [(segment.time_s, segment.timestamps) for segment in found if segment.source == hosts.client_address]
    assert all(stamps is not None for _, stamps in own)
    clocks = [stamps[0] for _, stamps in own if stamps]
    elapsed = [round((at_s - own[0][0]) * 1000) for at_s, _ in own]
    assert [clock - clocks[0] for clock in clocks] == pytest.approx(elapsed, abs=1)
    answers = [segment.timestamps for segment in found if segment.source == hosts.server_address]
    assert {answer[1] for answer in answers if answer} <= set(clocks)


def test_timestamps_off_at_one_end_are_off(hosts: Hosts) -> None:
    """With net.ipv4.tcp_timestamps=0 at the server its SYN-ACK has none, and nobody sends them any more."""
    sysctl(hosts.server, "net.ipv4.tcp_timestamps", 0)
    client, server = hosts.connect()
    client.send(b"x")
    server.recv(1)
    syn, *rest = hosts.at_client()
    assert syn.timestamps is not None
    assert all(segment.value(OPTION_TIMESTAMPS) is None for segment in rest)


@both_versions
def test_mss_of_one_end_binds_the_other(hosts: Hosts) -> None:
    """TCP_MAXSEG of 600 at the server: its SYN-ACK says so, and no segment of the client carries more."""
    client, server = hosts.connect(server=[(IPPROTO_TCP, TCP_MAXSEG, 600)])
    data = bytes(range(256)) * 40
    client.sendall(data)
    assert server.recv_exactly(len(data)) == data
    syn_ack = next(segment for segment in hosts.at_client() if segment.flags == SYN | ACK)
    assert syn_ack.mss == 600
    stamps = 12  # the option and two no-operations
    assert max(segment.payload_bytes for segment in hosts.sent_by_client()) == 600 - stamps


def fast_open(hosts: Hosts, listener: RemoteSocket, data: bytes) -> None:
    """Open a connection whose SYN carries data, as soon as the client has a cookie, and close it."""
    client = hosts.open(hosts.client)
    client.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    client.connect((hosts.server_address, PORT))
    client.send(data)
    server, _ = listener.accept()
    assert server.recv_exactly(len(data)) == data
    hosts.network.sleep(RTT_S)
    client.close()
    assert server.recv(1) == b""
    server.close()
    hosts.network.sleep(RTT_S)


def fast_open_listener(hosts: Hosts) -> RemoteSocket:
    """Let both hosts take part in Fast Open, and the server listen for it (tcp_fastopen of ip-sysctl)."""
    for node in (hosts.client, hosts.server):
        sysctl(node, "net.ipv4.tcp_fastopen", 3)
    return hosts.listen(options=[(IPPROTO_TCP, TCP_FASTOPEN, 16)])


@both_versions
def test_fast_open_sends_data_in_the_second_syn(hosts: Hosts) -> None:
    """The first connection fetches a cookie; the second's SYN has it, and the data, a round trip earlier."""
    listener = fast_open_listener(hosts)
    fast_open(hosts, listener, b"first")
    fast_open(hosts, listener, b"second")
    found = hosts.at_client()
    ask, use = (segment for segment in found if segment.flags == SYN)
    give = next(segment for segment in found if segment.flags == SYN | ACK)
    assert ask.value(OPTION_FAST_OPEN) == b""
    assert ask.payload_bytes == 0
    cookie = give.value(OPTION_FAST_OPEN)
    assert cookie
    assert use.value(OPTION_FAST_OPEN) == cookie
    assert use.payload == b"second"
    answer = next(segment for segment in found if segment.flags == SYN | ACK and segment.time_s > use.time_s)
    assert answer.acknowledgement == use.end
    arrived = next(segment for segment in hosts.at_server() if segment.payload == b"second")
    assert arrived.time_s - use.time_s == pytest.approx(DELAY_S, abs=1e-4)


def test_fast_open_with_a_wrong_cookie_falls_back(hosts: Hosts) -> None:
    """The server's key has changed: it acknowledges the SYN without its data, gives a new cookie, and data follows."""
    listener = fast_open_listener(hosts)
    fast_open(hosts, listener, b"first")
    sysctl(hosts.server, "net.ipv4.tcp_fastopen_key", "00000001-00000002-00000003-00000004")
    fast_open(hosts, listener, b"second")
    use = [segment for segment in hosts.at_client() if segment.flags == SYN][1]
    answer = [segment for segment in hosts.at_client() if segment.flags == SYN | ACK][1]
    assert use.payload == b"second"
    assert answer.acknowledgement == use.sequence + 1
    assert answer.value(OPTION_FAST_OPEN) not in (None, b"", use.value(OPTION_FAST_OPEN))


def md5_key(address: str, key: bytes) -> SocketOption:
    """Give the option that signs all segments to and from an address (struct tcp_md5sig, include/uapi/linux/tcp.h)."""
    name = sockaddr.pack(AF_INET6 if ":" in address else AF_INET, (address, 0), lambda _: 0).ljust(128, b"\0")
    return (IPPROTO_TCP, TCP_MD5SIG, name + struct.pack("=BBHi80s", 0, 0, len(key), 0, key))


def test_md5_signatures_are_those_of_rfc_2385(hosts: Hosts) -> None:
    """Each segment has the MD5 sum of pseudo-header, TCP header, payload and key."""
    to_server, to_client = md5_key(hosts.server_address, KEY), md5_key(hosts.client_address, KEY)
    client, server = hosts.connect(client=[to_server], server=[to_client])
    client.send(b"signed")
    assert server.recv(6) == b"signed"
    for segment in hosts.at_client():
        body = segment.packet.body
        header = (body[12] >> 4) * 4
        addresses = ipaddress.ip_address(segment.source).packed + ipaddress.ip_address(segment.destination).packed
        pseudo = addresses + struct.pack("!BBH", 0, 6, header + segment.payload_bytes)
        plain = body[:16] + b"\0\0" + body[18:20]
        digest = hashlib.md5(pseudo + plain + segment.payload[: segment.payload_bytes] + KEY, usedforsecurity=False)
        assert segment.value(OPTION_MD5) == digest.digest()


@pytest.mark.parametrize("key", [None, b"another secret"], ids=["unsigned", "other-key"])
def test_segment_without_the_right_signature_is_dropped(hosts: Hosts, key: bytes | None) -> None:
    """A SYN without signature, or with that of another key, gets no answer, not even RST."""
    hosts.listen(options=[md5_key(hosts.client_address, KEY)])
    client = hosts.open(hosts.client)
    if key is not None:
        client.setsockopt(*md5_key(hosts.server_address, key))
    client.timeout = 1.5
    with pytest.raises(NetworkTimeout):
        client.connect((hosts.server_address, PORT))
    assert {segment.flags for segment in hosts.at_client()} == {SYN}
