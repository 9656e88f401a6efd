# SPDX-License-Identifier: MIT
"""The suites' own parsers of TCP, SCTP and DCCP, on frames that scapy or the test made."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP, SCTPChunkData, SCTPChunkSACK

from suites.common import ip_wire, tcp_wire
from suites.common.tcp_wire import ACK, SYN
from suites.transport import dccp_wire, sctp_wire
from suites.transport.sctp_wire import Kind
from tests.suites.wires import TIME_S, captured

SOURCE, DESTINATION = "192.0.2.1", "192.0.2.2"
HEAD = Ether() / IP(src=SOURCE, dst=DESTINATION, tos=1, flags="DF")


def test_tcp_segment_with_all_options_of_a_syn() -> None:
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 9)), ("NOP", None), ("WScale", 6)]
    packet = HEAD / TCP(sport=1, dport=2, seq=2**32 - 1, ack=5, flags="S", window=100, options=options)
    [found] = tcp_wire.segments(captured(packet), "a-b", "a")
    assert (found.time_s, found.source, found.destination) == (TIME_S, SOURCE, DESTINATION)
    assert (found.source_port, found.destination_port, found.flags, found.window) == (1, 2, SYN, 100)
    assert (found.sequence, found.end, found.acknowledgement) == (2**32 - 1, 0, 5)
    assert (found.mss, found.window_scale, found.timestamps) == (1460, 6, (7, 9))
    assert (found.ecn, found.packet.whole) == (ip_wire.ECT_1, True)
    assert [kind for kind, _ in found.tcp_options] == [2, 4, 8, 3]


def test_tcp_sack_blocks_and_payload_of_a_frame_that_was_cut() -> None:
    packet = Ether() / IPv6(tc=3) / TCP(flags="A", options=[("SAck", (1, 2, 5, 9))]) / (b"abc" * 300)
    [found] = tcp_wire.segments(captured(packet), "a-b", "a")
    assert found.sack_blocks == [(1, 2), (5, 9)]
    assert (found.flags, found.payload_bytes, found.payload[:3], found.ecn) == (ACK, 900, b"abc", ip_wire.CE)
    assert (found.mss, found.window_scale, found.timestamps) == (None, None, None)


def test_packets_are_filtered_by_protocol() -> None:
    network = captured(HEAD / UDP(), Ether(type=0x0806) / bytes(28), HEAD / TCP())
    assert [packet.protocol for packet in ip_wire.packets(network, "a-b", "a")] == [ip_wire.UDP, ip_wire.TCP]
    assert [packet.body_bytes for packet in ip_wire.packets(network, "a-b", "a", ip_wire.UDP)] == [8]


def test_sctp_chunks_of_one_packet() -> None:
    data = SCTPChunkData(tsn=7, stream_id=3, data=b"hello", unordered=1, beginning=1, ending=0)
    sack = SCTPChunkSACK(cumul_tsn_ack=5, n_gap_ack=1, gap_ack_list=["2:3"])
    first, second = sctp_wire.chunks(captured(HEAD / SCTP(tag=9) / data / sack), "a-b", "a")
    assert (first.kind, first.tag, first.number, first.stream, first.payload_bytes) == (Kind.DATA, 9, 7, 3, 5)
    assert (first.unordered, first.place, first.body[12:17]) == (True, "first", b"hello")
    assert (second.kind, second.number, second.gaps) == (Kind.SACK, 5, [(7, 8)])
    assert sctp_wire.of_kind([first, second], Kind.SACK) == [second]


def test_sctp_checksum_is_that_of_scapy() -> None:
    packet = bytes(SCTP(sport=1, dport=2, tag=3) / SCTPChunkData(data=b"hello"))
    assert sctp_wire.checksum(packet).to_bytes(4, "little") == packet[8:12]


def dccp(kind: int, rest: bytes) -> bytes:
    """Make a DCCP packet with number 7 and what follows that."""
    header = bytes([0, 1, 0, 2, (16 + len(rest)) // 4, 0, 0, 0, kind << 1 | 1, 0]) + (7).to_bytes(6) + rest
    return bytes(Ether() / IP(src=SOURCE, dst=DESTINATION, proto=33) / header)


def test_dccp_request_and_reset() -> None:
    request, reset = dccp_wire.datagrams(
        captured(dccp(0, b"\0\0\0\x2a"), dccp(7, bytes(2) + (5).to_bytes(6) + b"\x08\0\0\0")), "a-b", "a"
    )
    assert (request.kind, request.sequence, request.service, request.acknowledgement) == (0, 7, 42, 0)
    assert (reset.kind, reset.acknowledgement, reset.reset_code) == (7, 5, dccp_wire.BAD_SERVICE_CODE)


@pytest.mark.parametrize("padding", [b"\0\0\0\0", b"\x26\x04\x01\xc0"])
def test_dccp_ack_vector(padding: bytes) -> None:
    [found] = dccp_wire.datagrams(captured(dccp(3, bytes(2) + (5).to_bytes(6) + padding)), "a-b", "a")
    assert found.ack_vector() == ([(0, 2), (3, 1)] if padding[0] else [])
    assert (found.payload_bytes, found.source) == (0, SOURCE)


@pytest.mark.parametrize("length", [0, 1])
def test_option_that_ends_before_its_head_is_refused(length: int) -> None:
    tcp = bytearray(bytes(HEAD / TCP(options=[("MSS", 1460)])))
    tcp[14 + 20 + 20 + 1] = length
    with pytest.raises(ValueError, match=f"^option 2 at byte 0 says that it is {length} bytes long, less than the 2 "):
        tcp_wire.segments(captured(bytes(tcp)), "a-b", "a")
    damaged = dccp(3, bytes(2) + (5).to_bytes(6) + bytes([38, length, 1, 1]))
    with pytest.raises(ValueError, match=f"^option 38 at byte 0 says that it is {length} bytes long, less than the 2 "):
        dccp_wire.datagrams(captured(damaged), "a-b", "a")


@pytest.mark.parametrize("length", [0, 3])
def test_chunk_that_ends_before_its_head_is_refused(length: int) -> None:
    damaged = bytes(HEAD / SCTP(tag=9)) + bytes([6, 0, 0, length])
    packet = bytearray(damaged)
    packet[14 + 2 : 14 + 4] = (len(packet) - 14).to_bytes(2)
    packet[14 + 9] = 132
    with pytest.raises(ValueError, match=f"^chunk 6 at byte 12 says that it is {length} bytes long, less than the 4 "):
        sctp_wire.chunks(captured(bytes(packet)), "a-b", "a")
