# SPDX-License-Identifier: MIT
"""Four hosts on one LAN: reachable, carrying data, and seen on the wire."""

import hashlib
import socket

import pytest
from scapy.layers.inet import ICMP, TCP

from testbed.backends.network import Network


@pytest.mark.scenario("lan", n=4)
@pytest.mark.parametrize("target", ["h2", "h3", "h4"])
def test_ping_reaches_everyone(network: Network, target: str) -> None:
    result = network["h1"].run(["ping", "-c2", "-i0.2", network[target].address()])
    assert "2 received" in result.stdout
    for name in ("h1", target):
        seen = [packet for packet in network.link(f"{name}-s1").packets(name) if ICMP in packet]
        assert len(seen) == 4, name


@pytest.mark.scenario("lan", n=4)
def test_sockets_on_two_machines_carry_bytes(network: Network) -> None:
    server = network["h3"].socket(socket.AF_INET, socket.SOCK_STREAM)
    server.bind(("0.0.0.0", 7000))
    server.listen()
    client = network["h4"].socket(socket.AF_INET, socket.SOCK_STREAM)
    client.connect((network["h3"].address(), 7000))
    peer, _ = server.accept()
    data = hashlib.sha256(b"four").digest() * 100
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)
    received = b""
    while piece := peer.recv(65536):
        received += piece
    assert received == data
    sent = [packet for packet in network.link("h4-s1").packets("h4") if TCP in packet]
    assert sent[0][TCP].flags == "S"


@pytest.mark.scenario("lan", n=4)
def test_programs_transfer(network: Network) -> None:
    h2, h4 = network["h2"], network["h4"]
    server = h2.spawn(["iperf3", "-s", "-1"])
    h2.wait_listen(5201)
    h4.run(["iperf3", "-c", h2.address(), "-n", "1M"])
    assert server.wait().returncode == 0
