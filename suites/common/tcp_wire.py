# SPDX-License-Identifier: MIT
"""TCP segments of a capture and their options (RFC 9293, section 3.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from suites.common import ip_wire
from suites.common.ip_wire import Carried

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from suites.common.ip_wire import Packet
    from testbed.backends.network import Network

FIN, SYN, RST, PSH, ACK, ECE, CWR = 0x01, 0x02, 0x04, 0x08, 0x10, 0x40, 0x80

OPTION_MSS, OPTION_WINDOW_SCALE, OPTION_SACK_PERMITTED, OPTION_SACK, OPTION_TIMESTAMPS = 2, 3, 4, 5, 8
OPTION_MD5, OPTION_FAST_OPEN = 19, 34

_HEADER = struct.Struct("!HHIIBBH")  # ports, sequence, acknowledgement, header length, flags, window
_OPTIONS_AT = 20


@dataclass(frozen=True)
class Segment(Carried):
    """One TCP segment of a capture.

    Attributes:
        source_port, destination_port: Ports.
        sequence, acknowledgement: Their numbers.
        flags: TCP flags, as FIN, SYN, ... of this module.
        window: As it stands in the segment, not scaled.
        payload_bytes: What follows the TCP header.
        tcp_options: Kind and value of each option but no-operations, in their order.
    """

    source_port: int
    destination_port: int
    sequence: int
    acknowledgement: int
    flags: int
    window: int
    payload_bytes: int
    tcp_options: tuple[tuple[int, bytes], ...]

    @property
    def ecn(self) -> int:
        """The two bits of congestion notification in its IP header."""
        return self.packet.ecn

    @property
    def end(self) -> int:
        """The sequence number after it: SYN and FIN count one each."""
        taken = self.payload_bytes + bool(self.flags & SYN) + bool(self.flags & FIN)
        return (self.sequence + taken) % 2**32

    @property
    def payload(self) -> bytes:
        """Its payload, as far as it was captured."""
        return self.packet.body[(self.packet.body[12] >> 4) * 4 :]

    def value(self, kind: int) -> bytes | None:
        """Give the value of an option, or None where the segment lacks it."""
        return next((value for found, value in self.tcp_options if found == kind), None)

    @property
    def mss(self) -> int | None:
        """The maximum segment size that a SYN tells, in bytes."""
        value = self.value(OPTION_MSS)
        return None if value is None else int.from_bytes(value)

    @property
    def window_scale(self) -> int | None:
        """The binary exponent for windows that a SYN tells (RFC 7323, section 2.2)."""
        value = self.value(OPTION_WINDOW_SCALE)
        return None if value is None else value[0]

    @property
    def timestamps(self) -> tuple[int, int] | None:
        """The sender's clock and the peer's that it echoes (RFC 7323, section 3.2)."""
        value = self.value(OPTION_TIMESTAMPS)
        if value is None:
            return None
        own, echo = struct.unpack("!II", value)
        return own, echo

    @property
    def sack_blocks(self) -> list[tuple[int, int]]:
        """Left and right edge of each block of a selective acknowledgement (RFC 2018, section 3)."""
        value = self.value(OPTION_SACK) or b""
        return [struct.unpack_from("!II", value, at) for at in range(0, len(value), 8)]


Seg = TypeVar("Seg", bound=Segment)


def segments(network: Network, link: str, end: str) -> list[Segment]:
    """Give the TCP segments captured at the end of a link, sent and received, in the order of time."""
    return parse(ip_wire.packets(network, link, end, ip_wire.TCP), Segment)


def parse(packets: Iterable[Packet], kind: type[Seg]) -> list[Seg]:
    """Make segments of packets that carry TCP; ``kind`` is Segment or a class below it."""
    return [_segment(packet, kind) for packet in packets]


def payload_of(found: Iterable[Segment], source: str, *, since_s: float = 0.0, until_s: float = 1e9) -> int:
    """Add up the payload that an address sent within a time, retransmissions included, in bytes."""
    return sum(entry.payload_bytes for entry in found if entry.source == source and since_s <= entry.time_s < until_s)


def _segment(packet: Packet, kind: type[Seg]) -> Seg:
    source, destination, sequence, acknowledgement, length, flags, window = _HEADER.unpack_from(packet.body)
    header = (length >> 4) * 4
    options = tuple(_options(packet.body[_OPTIONS_AT:header]))
    payload = packet.body_bytes - header
    return kind(packet, source, destination, sequence, acknowledgement, flags, window, payload, options)


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give kind and value of each option; no-operations (1) have no length, 0 is the end."""
    at = 0
    while at < len(data) and data[at] != 0:
        if data[at] == 1:
            at += 1
            continue
        length = ip_wire.long_enough(f"option {data[at]}", at, data[at + 1], 2)
        yield data[at], data[at + 2 : at + length]
        at += length
