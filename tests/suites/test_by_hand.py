# SPDX-License-Identifier: MIT
"""Small helpers of the suites: payload and options of a segment, counters of a node, and what was under way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from suites.common.by_hand import option, payload
from suites.cradle.counters import counter
from suites.transport.test_tcp_window import most_under_way

if TYPE_CHECKING:
    from suites.common.tcp_wire import Segment
    from testbed.backends.node import Node


def received(packet: Any) -> Any:
    """Give a frame as it comes from a capture: padded to the least length of Ethernet."""
    return Ether(bytes(Ether() / packet).ljust(60, b"\0"))


@pytest.mark.parametrize("head", [IP, IPv6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("data", [b"", b"a", b"two words"])
def test_payload_is_without_the_padding_of_the_frame(head: type, data: bytes) -> None:
    segment = head() / TCP(options=[("MSS", 1460)])
    assert payload(received(segment / Raw(data) if data else segment)) == data


def test_options_are_found_by_name() -> None:
    frame = received(IP() / TCP(options=[("MSS", 1460), ("SAck", (1, 2))]))
    assert (option(frame, "MSS"), option(frame, "SAck"), option(frame, "WScale")) == (1460, (1, 2), None)


def node(said: str) -> Node:
    return cast("Node", SimpleNamespace(run=lambda _: SimpleNamespace(stdout=f"#kernel\n{said}")))


def test_counter_is_that_of_nstat() -> None:
    assert counter(node("TcpInErrs                       17                 0.0\n"), "TcpInErrs") == 17


def test_counter_that_is_missing_or_another_is_an_error() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        counter(node(""), "TcpInErrs")
    with pytest.raises(AssertionError):
        counter(node("TcpInSegs 17 0.0\n"), "TcpInErrs")


def segments(*rows: tuple[str, int, int]) -> list[Segment]:
    """Make segments: who sends, the number behind it, what it acknowledges."""
    first = 2**32 - 100
    found = [
        SimpleNamespace(source=source, sequence=first, end=(first + end) % 2**32, acknowledgement=(first + ack) % 2**32)
        for source, end, ack in rows
    ]
    return cast("list[Segment]", found)


def test_most_under_way_counts_what_is_not_acknowledged_yet() -> None:
    rows = [("a", 100, 0), ("a", 300, 0), ("b", 0, 100), ("a", 350, 0), ("b", 0, 350), ("a", 400, 0)]
    assert most_under_way(segments(*rows), "a") == 300
    assert most_under_way(segments(rows[0]), "a") == 100


def test_retransmission_is_under_way_once() -> None:
    assert most_under_way(segments(("a", 100, 0), ("a", 100, 0), ("a", 200, 0), ("b", 0, 50)), "a") == 200
