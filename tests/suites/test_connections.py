# SPDX-License-Identifier: MIT
"""Connections of a capture: bytes between SYN and FIN, each counted once, and resets before and behind a FIN."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from suites.common.connections import Connection, connections

if TYPE_CHECKING:
    from testbed.backends.network import Network

MACS = {"h1": "02:00:00:00:00:00", "h2": "02:00:00:00:00:01"}


def seen(*sent: tuple[str, str, int, bytes]) -> list[Connection]:
    """Give the connections of segments: the sender, its flags, its sequence number, its payload."""
    frames: list[SimpleNamespace] = []
    for number, (sender, flags, sequence, payload) in enumerate(sent):
        ports = (5, 80) if sender == "h1" else (80, 5)
        ends = ("10.0.1.1", "10.0.1.2") if sender == "h1" else ("10.0.1.2", "10.0.1.1")
        tcp = TCP(sport=ports[0], dport=ports[1], flags=flags, seq=sequence)
        frame = Ether(src=MACS[sender], dst="02:00:00:00:00:09") / IP(src=ends[0], dst=ends[1]) / tcp / payload
        frames.append(SimpleNamespace(time_ns=number, data=bytes(frame)))

    def from_(_: str, source: str) -> list[SimpleNamespace]:
        return [frame for frame in frames if frame.data[6:12].hex(":") == source]

    link = SimpleNamespace(ends=("h1", "h2"), frames=from_)
    nodes = {name: SimpleNamespace(interface=lambda _, mac=mac: SimpleNamespace(mac=mac)) for name, mac in MACS.items()}

    class Fake(dict[str, SimpleNamespace]):
        def link(self, _: str) -> SimpleNamespace:
            return link

    return connections(cast("Network", Fake(nodes)), "h1-h2", 80)


def test_bytes_are_counted_once_across_the_end_of_the_sequence_numbers() -> None:
    (found,) = seen(
        ("h1", "S", 2**32 - 2, b""),
        ("h2", "SA", 100, b""),
        ("h1", "PA", 2**32 - 1, b"abcd"),
        ("h1", "PA", 2**32 - 1, b"abcd"),
        ("h1", "FA", 3, b"ef"),
        ("h2", "FA", 101, b""),
    )
    assert (found.client.stream_bytes, found.server.stream_bytes) == (6, 0)
    assert (found.client.resets, found.server.resets) == (0, 0)


def test_a_reset_before_a_fin_breaks_and_one_behind_it_does_not() -> None:
    (found,) = seen(("h1", "S", 1, b""), ("h1", "FA", 2, b""), ("h1", "RA", 3, b""), ("h2", "R", 7, b""))
    assert (found.client.resets, found.client.broken) == (1, False)
    assert (found.server.resets, found.server.broken) == (1, True)
    assert found.server.stream_bytes is None
