# SPDX-License-Identifier: MIT
"""From frames at both ends of a link to journeys, and from segments to curves: made-up frames, built by scapy."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Ether

from testbed.harness.packets import Frame
from testbed.harness.records import CaptureRecord
from testbed.reports.decode import decode
from testbed.reports.flows import AGAIN, flows
from testbed.reports.tcp import ACK, SYN, parse
from testbed.reports.traffic import Capture, Journey, delays, journeys

MS = 1_000_000


def capture(node: str, *frames: Frame, link: str = "a-b") -> Capture:
    return Capture(CaptureRecord(f"captures/{link}.{node}.pcapng", link, node, 0, ""), list(frames))


def sent(time_ms: int, data: bytes) -> Frame:
    return Frame(time_ms * MS, data, len(data), sent=True)


def received(time_ms: int, data: bytes) -> Frame:
    return Frame(time_ms * MS, data, len(data), sent=False)


def times(found: list[Journey]) -> list[tuple[int | None, int | None]]:
    return [
        (None if way.sent_ns is None else way.sent_ns // MS, None if way.received_ns is None else way.received_ns // MS)
        for way in found
    ]


def test_frames_meet_their_arrival_and_one_is_lost() -> None:
    found = journeys(
        [capture("a", sent(1, b"x"), sent(2, b"y"), received(9, b"z")), capture("b", received(6, b"x"), sent(7, b"z"))],
        {},
    )
    assert times(found) == [(1, 6), (2, None), (7, 9)]
    assert [(way.source, way.target) for way in found] == [("a", "b"), ("a", "b"), ("b", "a")]


def test_frame_that_nobody_sent_is_a_stray() -> None:
    assert times(journeys([capture("a"), capture("b", received(6, b"x"))], {})) == [(None, 6)]


def test_doubled_frame_arrives_once_and_strays_once() -> None:
    found = journeys([capture("a", sent(1, b"x")), capture("b", received(6, b"x"), received(7, b"x"))], {})
    assert times(found) == [(1, 6), (None, 7)]


def test_same_bytes_are_told_apart_by_the_delay() -> None:
    """Of two equal frames the first is lost: without the delay it would have taken 25 ms, with it the second did 5."""
    ends = [capture("a", sent(0, b"x"), sent(20, b"x")), capture("b", received(25, b"x"))]
    assert times(journeys(ends, {("a-b", "a"): 5 * MS})) == [(0, None), (20, 25)]


def test_equal_frames_under_way_at_once_arrive_in_order() -> None:
    ends = [capture("a", sent(0, b"x"), sent(1, b"x")), capture("b", received(5, b"x"), received(6, b"x"))]
    assert times(journeys(ends, {("a-b", "a"): 5 * MS})) == [(0, 5), (1, 6)]


def test_equal_frames_in_a_queue_stay_in_order() -> None:
    ends = [capture("a", sent(0, b"x"), sent(1, b"x")), capture("b", received(15, b"x"), received(25, b"x"))]
    assert times(journeys(ends, {("a-b", "a"): 5 * MS})) == [(0, 15), (1, 25)]


def test_end_that_was_not_captured_is_no_loss() -> None:
    (found,) = journeys([capture("a", sent(1, b"x"))], {})
    assert (found.target, found.received_ns) == ("", None)


def test_delays_come_from_the_recorded_shapes() -> None:
    shape = {"delay_ms": 10.0, "jitter_ms": 2.0}
    back = {"delay_ms": 1.0, "jitter_ms": 0.0}
    links = [{"name": "a-b", "a": "a", "b": "b", "shape": shape, "shape_back": back}]
    assert delays({"links": links}) == {("a-b", "a"): 8 * MS, ("a-b", "b"): MS}
    assert delays(None) == {}


def tcp(*, back: bool = False, payload: bytes = b"", v6: bool = False, **fields: Any) -> bytes:
    """Build a segment from a port 1000 of a to port 80 of b, or back."""
    ends = ("10.0.0.2", "10.0.0.1") if back else ("10.0.0.1", "10.0.0.2")
    ports = {"sport": 80, "dport": 1000} if back else {"sport": 1000, "dport": 80}
    lower = IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrHopByHop() if v6 else IP(src=ends[0], dst=ends[1])
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / lower / TCP(**ports, **fields) / payload)


def test_segment_is_read() -> None:
    options = [("WScale", 7), ("SAck", (5, 9)), (30, b"\x20\x05abcd")]
    found = parse(tcp(seq=7, ack=9, flags="SA", window=100, payload=b"hello", options=options))
    assert found is not None
    assert (found.seq, found.ack, found.flags, found.window, found.length) == (7, 9, SYN | ACK, 100, 5)
    assert (found.wscale, found.sack, found.mptcp) == (7, ((5, 9),), (b"\x20\x05abcd",))


def test_segment_behind_an_extension_header_is_read() -> None:
    found = parse(tcp(seq=7, payload=b"hello", v6=True))
    assert found is not None
    assert (found.seq, found.length) == (7, 5)


def test_cut_off_payload_still_counts() -> None:
    found = parse(tcp(payload=b"x" * 500)[:80])
    assert found is not None
    assert found.length == 500


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 64, tcp()[:40], bytes(Ether() / IP() / UDP()), bytes(Ether() / IP(proto=6, frag=5) / (b"x" * 30))],
)
def test_other_frames_are_no_segments(data: bytes) -> None:
    assert parse(data) is None


@pytest.mark.parametrize("at", range(54, 74))
def test_no_cut_of_the_options_is_an_error(at: int) -> None:
    parse(tcp(options=[("SAck", (5, 9)), ("WScale", 7), (30, b"\x20\x05abcd")])[:at])


def columns(thinned: dict[str, Any]) -> list[tuple[int, ...]]:
    """Undo the differences."""
    rows: list[list[int]] = []
    for column in thinned["columns"]:
        total, values = 0, []
        for by in column:
            total += by
            values.append(total)
        rows.append(values)
    return list(zip(*rows, strict=True))


def test_curve_counts_from_the_first_byte_over_the_end_of_32_bits() -> None:
    first = 2**32 - 10
    ends = capture(
        "a",
        sent(0, tcp(seq=first, flags="S")),
        sent(1, tcp(seq=first + 1, flags="A", payload=b"x" * 20)),
        sent(2, tcp(seq=11, flags="A", payload=b"y" * 20)),
        received(3, tcp(back=True, ack=11, flags="A", window=50)),
        sent(4, tcp(seq=11, flags="A", payload=b"y" * 20)),
    )
    (flow,) = flows([ends], 0, most=5, points=100)["tcp"]
    assert (flow["bytes"], flow["segments"], flow["again"]) == (40, 3, 1)
    assert [(row[1], row[2], row[3]) for row in columns(flow["data"])] == [
        (0, 0, 2),
        (1, 20, 0),
        (21, 20, 0),
        (21, 20, AGAIN),
    ]
    assert columns(flow["acks"]) == [(3 * MS, 21, 71)]


def test_thinned_curve_keeps_what_was_sent_again() -> None:
    frames = [sent(n, tcp(seq=n * 10, flags="A", payload=b"x" * 10)) for n in range(100)]
    frames.append(sent(200, tcp(seq=50, flags="A", payload=b"x" * 10)))
    (flow,) = flows([capture("a", *frames)], 0, most=5, points=10)["tcp"]
    assert (flow["data"]["total"], flow["again"]) == (101, 1)
    rows = columns(flow["data"])
    assert len(rows) == flow["data"]["shown"] <= 12
    assert (200 * MS, 50, 10, AGAIN) in rows


def test_what_routers_pass_on_is_the_sender_s() -> None:
    frame = tcp(seq=1, flags="A", payload=b"x")
    ends = [capture("r", sent(3, frame), link="r-b"), capture("a", sent(1, frame), link="a-r")]
    (flow,) = flows(ends, 0, most=5, points=10)["tcp"]
    assert flow["node"] == "a"
    assert flows(ends, 0, most=5, points=10, routers={"r", "a"})["tcp"] == []


def test_subflows_are_joined_by_the_token_of_a_key() -> None:
    """RFC 8684, 3.1 and 3.2: the third packet has both keys, a join the first 32 bits of the SHA-256 of one."""
    keys = bytes(range(8)), bytes(range(8, 16))
    token = hashlib.sha256(keys[1]).digest()[:4]
    dss = b"\x20\x04" + (1000).to_bytes(4, "big") + (1).to_bytes(4, "big") + (30).to_bytes(2, "big") + b"\0\0"
    far = b"\x20\x04" + (1030).to_bytes(4, "big") + (1).to_bytes(4, "big") + (5).to_bytes(2, "big") + b"\0\0"

    def second(**fields: Any) -> bytes:
        return tcp(**fields).replace(IP(src="10.0.0.1").build()[12:16], bytes([10, 0, 9, 1]))

    ends = capture(
        "a",
        sent(0, tcp(seq=0, flags="S")),
        sent(1, tcp(seq=1, flags="A", options=[(30, b"\x01\x01" + keys[0] + keys[1])])),
        sent(2, tcp(seq=1, flags="A", payload=b"x" * 20, options=[(30, dss)])),
        sent(3, tcp(seq=21, flags="A", payload=b"x" * 10, options=[(30, dss)])),
        sent(4, second(seq=0, flags="S", options=[(30, b"\x10\x00" + token + b"nonc")])),
        sent(5, second(seq=1, flags="A", payload=b"y" * 5, options=[(30, far)])),
    )
    (connection,) = flows([ends], 0, most=5, points=100)["mptcp"]
    assert [subflow["bytes"] for subflow in connection["subflows"]] == [30, 5]
    assert [row[1:] for row in columns(connection["data"])] == [(0, 20, 0), (20, 10, 0), (30, 5, 1)]


@pytest.mark.parametrize(
    ("data", "protocol", "words"),
    [
        (tcp(seq=5, ack=6, flags="PA", payload=b"hi"), "TCP", ["PA", "seq=5", "ack=6", "len=2"]),
        (tcp(flags="S", options=[("MSS", 1460), (30, b"\x01\x01")]), "TCP", ["mss=1460", "MP_CAPABLE"]),
        (bytes(Ether() / IP() / UDP() / b"x"), "UDP", ["UDP"]),
        (b"", "", []),
        (b"\xff" * 13, "", []),
    ],
)
def test_frames_in_words(data: bytes, protocol: str, words: list[str]) -> None:
    found = decode(data)
    assert not protocol or found.protocol == protocol
    assert [word for word in words if word not in found.info] == []
