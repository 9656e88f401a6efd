# SPDX-License-Identifier: MIT
"""The MPTCP suite's own parser, on frames that scapy made."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from suites.mptcp import mptcp_wire
from suites.mptcp.mptcp_wire import ACK, Subtype
from tests.suites.wires import captured

DSS = bytes([0x20, 0x05, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 2, 0, 3])  # data ACK 1, mapping 9 at 2, 3 bytes
ADD_ADDR_ECHO = bytes([0x31, 4, 192, 0, 2, 7])


def parse(*packets: Any) -> list[mptcp_wire.Segment]:
    return mptcp_wire.segments(captured(*packets), "a-b", "a")


def test_ipv4_segment_with_two_options() -> None:
    options = [("NOP", None), (30, DSS), (30, ADD_ADDR_ECHO)]
    packet = Ether() / IP(src="192.0.2.1", dst="192.0.2.2") / TCP(sport=1, dport=2, flags="A", options=options) / b"abc"
    [found] = parse(packet)
    assert (found.time_s, found.source, found.destination, found.flags) == (1.5, "192.0.2.1", "192.0.2.2", ACK)
    assert (found.source_port, found.destination_port, found.payload_bytes) == (1, 2, 3)
    assert found.option(Subtype.DSS).mapping == (9, 3)
    announced = found.option(Subtype.ADD_ADDR)
    assert (announced.echo, announced.address_id, announced.address) == (True, 4, "192.0.2.7")


def test_ipv6_payload_is_counted_though_the_frame_was_cut() -> None:
    [found] = parse(Ether() / IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP() / bytes(1000))
    assert (found.source, found.payload_bytes, found.options) == ("2001:db8::1", 1000, ())


def test_what_is_no_tcp_is_left_out() -> None:
    assert parse(Ether() / IP() / UDP(), Ether(type=0x0806) / bytes(28)) == []


def test_payload_is_summed_by_source_and_time() -> None:
    found = parse(Ether() / IP(src="192.0.2.1") / TCP() / b"abc", Ether() / IP(src="192.0.2.9") / TCP() / b"abcd")
    assert mptcp_wire.payload_of(found, "192.0.2.1") == 3
    assert mptcp_wire.payload_of(found, "192.0.2.1", since_s=1.6) == 0


def test_token_is_the_head_of_the_sha256() -> None:
    assert mptcp_wire.token(bytes(8)) == 0xAF5570F5


def test_join_hmac_is_hmac_sha256_of_keys_and_nonces() -> None:
    """RFC 4231, test case 1, its key and data cut in two."""
    found = mptcp_wire.join_hmac(b"\x0b" * 10, b"\x0b" * 10, b"Hi T", b"here")
    assert found.hex() == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
