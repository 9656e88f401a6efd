# SPDX-License-Identifier: MIT
"""1000 datagrams of 1024 bytes from one host to another, one per second (RFC 768)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.backends.network import Network
    from testbed.backends.node import Node

DELAY_S = 0.010
COUNT = 1000
PORT = 5000
DATAGRAM_BYTES = 1024
HEADER_BYTES = {4: 14 + 20 + 8, 6: 14 + 40 + 8}  # Ethernet, IP, UDP
ETHER_TYPE = {4: 0x0800, 6: 0x86DD}


@pytest.mark.scenario("pair", delay_ms=DELAY_S * 1000)
@pytest.mark.real_time_budget(COUNT)
@pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])
def test_a_thousand_datagrams_cross_at_their_exact_seconds(
    network: Network, program: Callable[[Node, str], str], version: int
) -> None:
    """Every datagram is on the wire once, in order, a whole second after the one before, and arrives 10 ms later."""
    sender, receiver = network["h1"], network["h2"]
    counter = receiver.spawn([program(receiver, "udp-simple-receiver"), str(PORT), str(COUNT)])
    receiver.wait_listen(PORT, "udp")
    argv = [program(sender, "udp-simple-sender"), receiver.address(version), str(PORT), str(COUNT)]
    done = sender.run(argv, timeout=COUNT + 60.0)
    assert done.stdout == f"sent {COUNT} datagrams\n"
    assert counter.wait().check().stdout == f"received {COUNT} datagrams, 0 wrong\n"

    sent, arrived = (datagrams(network, end, version) for end in ("h1", "h2"))
    assert [number for number, _ in sent] == [number for number, _ in arrived] == list(range(COUNT))
    # Number 0 waits for the address of the receiver to be resolved; from number 1 on every time is exact.
    seconds = [at - sent[1][1] + 1 for _, at in sent[1:]]
    assert seconds == pytest.approx(range(1, COUNT), abs=20e-6)
    flights = [there - here for (_, here), (_, there) in zip(sent, arrived, strict=True)]
    assert flights == pytest.approx([DELAY_S] * COUNT, abs=1e-6)


def datagrams(network: Network, end: str, version: int) -> list[tuple[int, float]]:
    """Give number and time in seconds of every datagram captured at an end of the link."""
    found = []
    for frame in network.link("h1-h2").frames(end):
        (kind,) = struct.unpack_from("!H", frame.data, 12)
        if kind == ETHER_TYPE[version] and frame.length == HEADER_BYTES[version] + DATAGRAM_BYTES:
            (number,) = struct.unpack_from("!Q", frame.data, HEADER_BYTES[version])
            found.append((number, frame.time_ns / 1e9))
    return found
