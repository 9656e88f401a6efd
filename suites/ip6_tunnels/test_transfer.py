# SPDX-License-Identifier: MIT
"""Streams and large packets in tunnels: segments are cut to fit, and a smaller MTU on the way is learned."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

import pytest

from suites.ip6_tunnels.ends import inner_address, join, over_a_router, received
from suites.ip6_tunnels.onion import echoes, onions
from suites.ip6_tunnels.tunnels import IP6GRE
from testbed.scenarios.topology import Link, Node, Topology

if TYPE_CHECKING:
    from testbed.backends.network import Network

BYTES, PORT = 100_000, 5000
NARROW_MTU = 1400
OVERHEAD = 1500 - IP6GRE.mtu


@over_a_router
def test_stream_fills_the_frames_and_nothing_is_fragmented(network: Network) -> None:
    """TCP over IPv4 in the tunnel: every byte arrives, in frames of at most the outer MTU that are often full."""
    join(network, IP6GRE)
    sent = random.Random(network.seed).randbytes(BYTES)
    with network["h2"].socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((inner_address(4, 2), PORT))
        listener.listen()
        with network["h1"].socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
            sender.connect((inner_address(4, 2), PORT))
            sender.sendall(sent)
            receiver, _ = listener.accept()
            assert receiver.recv_exactly(BYTES) == sent
    segments = [onion for onion in onions(network, "r1-h2", "h2") if onion.inner.data[9:10] == b"\x06"]
    assert {onion.names for onion in segments} == {f"{IP6GRE.wire} ipv4"}
    assert max(onion.length for onion in segments) == 14 + 1500
    segment_bytes = IP6GRE.mtu - 20 - 32  # IP, TCP with time stamps
    assert sum(onion.length == 14 + 1500 for onion in segments) >= BYTES // segment_bytes * 0.9


@pytest.mark.scenario(
    Topology(
        (Node("h1"), Node("r1", "router"), Node("h2")),
        (Link("h1", "r1"), Link("r1", "h2", mtu=NARROW_MTU)),
    )
)
def test_smaller_mtu_on_the_way_is_learned(network: Network) -> None:
    """The router's Packet Too Big makes the tunnel tell its users of the smaller MTU; then they send fragments."""
    join(network, IP6GRE)
    payload = IP6GRE.mtu - 40 - 8
    assert received(network["h1"], inner_address(6, 2), f"-s{payload}", "-Mdo") == 0
    route = network["h1"].run(["ip", "-6", "route", "get", inner_address(6, 2)]).stdout
    assert f"mtu {NARROW_MTU - OVERHEAD}" in route
    assert echoes(network, "r1-h2", "h2") == []
    assert received(network["h1"], inner_address(6, 2), f"-s{payload}", "-Mwant") == 3
    assert max(onion.length for onion in onions(network, "r1-h2", "h2")) <= 14 + NARROW_MTU
