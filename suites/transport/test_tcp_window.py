# SPDX-License-Identifier: MIT
"""Windows of TCP: how much may be under way (RFC 9293, section 3.8.6; RFC 7323, section 2)."""

from __future__ import annotations

from socket import SO_RCVBUF, SOL_SOCKET
from typing import TYPE_CHECKING

import pytest

from suites.common.tcp_wire import SYN
from suites.transport.hosts import sysctl
from suites.transport.scenario import both_versions, wire

if TYPE_CHECKING:
    from suites.common.tcp_wire import Segment
    from suites.transport.hosts import Hosts

# 100 Mbit/s and 200 ms of round trip: 2.5 MB are under way when the path is full.
RATE_BPS = 100_000_000
LONG_S = 0.2
long_and_fat = pytest.mark.scenario("pair", delay_ms=LONG_S * 500, rate_bps=RATE_BPS)

pytestmark = pytest.mark.requires("netem")

UNSCALED_BYTES = 65535
BYTES = 1_500_000


def most_under_way(found: list[Segment], sender: str) -> int:
    """Give the most bytes that a sender, the one who connected, had sent and not seen acknowledged."""
    first = found[0].sequence
    most = end = acknowledged = 0
    for segment in found:
        if segment.source == sender:
            end = max(end, offset(segment.end, first))
        else:
            acknowledged = max(acknowledged, offset(segment.acknowledgement, first))
        most = max(most, end - acknowledged)
    return most


def offset(number: int, first: int) -> int:
    """Give how far a sequence number is behind the first one; the numbers wrap around."""
    return (number - first) % 2**32


@long_and_fat
@both_versions
@pytest.mark.real_time_budget(10)
def test_scaled_window_fills_a_long_fat_path(hosts: Hosts) -> None:
    """More than 64 KiB are under way at a time, and the goodput is more than 64 KiB for each round trip allow."""
    sent, _ = hosts.start("tcp", BYTES).finish()
    assert most_under_way(hosts.at_client(), hosts.client_address) > 4 * UNSCALED_BYTES
    assert sent.goodput_bps > 2 * UNSCALED_BYTES * 8 / LONG_S


@long_and_fat
@pytest.mark.real_time_budget(10)
def test_without_scaling_64_kib_are_the_limit(hosts: Hosts) -> None:
    """With net.ipv4.tcp_window_scaling=0 neither SYN has the option; 65,535 bytes are under way at most."""
    sysctl(hosts.server, "net.ipv4.tcp_window_scaling", 0)
    sent, _ = hosts.start("tcp", BYTES // 2).finish()
    found = hosts.at_client()
    answer = next(segment for segment in found if segment.flags & SYN and segment.source == hosts.server_address)
    assert answer.window_scale is None
    assert UNSCALED_BYTES / 2 < most_under_way(found, hosts.client_address) <= UNSCALED_BYTES
    assert sent.goodput_bps < UNSCALED_BYTES * 8 / LONG_S


@wire
def test_windows_are_scaled_by_the_option_of_the_syn(hosts: Hosts) -> None:
    """The window in a SYN is never scaled; in later segments it means so many times more, as the buffer is large."""
    client, server = hosts.connect(server=[(SOL_SOCKET, SO_RCVBUF, 200_000)])
    client.sendall(bytes(BYTES // 10))
    server.recv_exactly(BYTES // 10)
    syn_ack, *later = [segment for segment in hosts.at_client() if segment.source == hosts.server_address]
    scale = syn_ack.window_scale
    assert scale is not None
    assert scale > 0
    assert UNSCALED_BYTES / 2 < syn_ack.window <= UNSCALED_BYTES
    assert later[0].window < syn_ack.window
    assert max(segment.window for segment in later) << scale > UNSCALED_BYTES


@wire
@both_versions
def test_sender_never_exceeds_the_window(hosts: Hosts) -> None:
    """A receiver with a small buffer that reads now and then gets all, and never more at once than it has allowed."""
    client, server = hosts.connect(server=[(SOL_SOCKET, SO_RCVBUF, 8192)])
    data = bytes(range(256)) * 100
    client.sendall(data)
    received = b""
    while len(received) < len(data):
        hosts.network.sleep(0.05)
        received += server.recv(2000)
    assert received == data
    found = hosts.at_client()
    scale = next(segment.window_scale for segment in found if segment.source == hosts.server_address) or 0
    first, allowed = found[0].sequence, 0
    for segment in found:
        if segment.source == hosts.server_address:
            window = segment.window << (0 if segment.flags & SYN else scale)
            allowed = max(allowed, offset(segment.acknowledgement, first) + window)
        elif segment.payload_bytes:
            assert offset(segment.end, first) <= allowed
