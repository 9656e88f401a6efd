# SPDX-License-Identifier: MIT
"""SCTP packets of a capture and their chunks (RFC 9260, section 3)."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suites.common import ip_wire
from suites.common.ip_wire import Carried

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from suites.common.ip_wire import Packet
    from testbed.backends.network import Network

_COMMON_HEADER_BYTES = 12
_CHUNK_HEADER_BYTES = 4


class Kind(enum.IntEnum):
    """Types of chunks (section 3.2; RFC 3758 and 5061 for the last three)."""

    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    SHUTDOWN = 7
    SHUTDOWN_ACK = 8
    ERROR = 9
    COOKIE_ECHO = 10
    COOKIE_ACK = 11
    SHUTDOWN_COMPLETE = 14
    ASCONF_ACK = 0x80
    FORWARD_TSN = 0xC0
    ASCONF = 0xC1


@dataclass(frozen=True)
class Chunk(Carried):
    """One chunk.

    Attributes:
        tag: The packet's verification tag.
        kind: Its type.
        flags: Its flags.
        body: What follows its header, as far as it was captured.
        length: Bytes of the body on the wire, without padding.
    """

    tag: int
    kind: int
    flags: int
    body: bytes
    length: int

    @property
    def number(self) -> int:
        """DATA: its transmission sequence number (TSN). SACK, FORWARD-TSN: the last one without a hole before it."""
        return int.from_bytes(self.body[:4])

    @property
    def initiate_tag(self) -> int:
        """INIT, INIT-ACK: the tag that packets to its sender must have."""
        return int.from_bytes(self.body[:4])

    @property
    def streams(self) -> tuple[int, int]:
        """INIT, INIT-ACK: how many streams its sender sends, and how many it takes at most."""
        out, into = struct.unpack_from("!HH", self.body, 8)
        return out, into

    @property
    def stream(self) -> int:
        """DATA: the stream's number."""
        return int.from_bytes(self.body[4:6])

    @property
    def payload_bytes(self) -> int:
        """DATA: bytes of payload."""
        return self.length - 12

    @property
    def unordered(self) -> bool:
        """DATA: whether it may be delivered before others of its stream."""
        return bool(self.flags & 4)

    @property
    def place(self) -> str:
        """DATA: ``first``, ``middle`` or ``last`` of a message, or ``whole``."""
        return ("middle", "last", "first", "whole")[self.flags & 3]

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """SACK: first and last TSN of each block behind the first hole."""
        count = int.from_bytes(self.body[8:10])
        offsets = (struct.unpack_from("!HH", self.body, 12 + 4 * block) for block in range(count))
        return [(self.number + start, self.number + end) for start, end in offsets]

    def parameters(self) -> list[tuple[int, bytes]]:
        """INIT, INIT-ACK: type and value of each parameter."""
        return [(kind, value) for kind, _, value in _tlvs(self.body[16:])]


def chunks(network: Network, link: str, end: str) -> list[Chunk]:
    """Give the chunks captured at the end of a link, sent and received, in the order of time."""
    return [chunk for packet in ip_wire.packets(network, link, end, ip_wire.SCTP) for chunk in _chunks(packet)]


def of_kind(found: Iterable[Chunk], *kinds: Kind) -> list[Chunk]:
    """Keep the chunks of some types."""
    return [chunk for chunk in found if chunk.kind in kinds]


def checksum(packet: bytes) -> int:
    """Compute the CRC32c of a packet whose own checksum counts as zero (section 6.8, appendix A)."""
    register = 0xFFFFFFFF
    for byte in packet[:8] + bytes(4) + packet[_COMMON_HEADER_BYTES:]:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def _chunks(packet: Packet) -> Iterator[Chunk]:
    (tag,) = struct.unpack_from("!I", packet.body, 4)
    at = _COMMON_HEADER_BYTES
    while at + _CHUNK_HEADER_BYTES <= len(packet.body):
        kind, flags, length = struct.unpack_from("!BBH", packet.body, at)
        ip_wire.long_enough(f"chunk {kind}", at, length, _CHUNK_HEADER_BYTES)
        body = packet.body[at + _CHUNK_HEADER_BYTES : at + length]
        yield Chunk(packet, tag, kind, flags, body, length - _CHUNK_HEADER_BYTES)
        at += _padded(length)


def _tlvs(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Give type, length and value of each parameter (section 3.2.1)."""
    at = 0
    while at + _CHUNK_HEADER_BYTES <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        yield kind, length, data[at + _CHUNK_HEADER_BYTES : at + length]
        at += _padded(max(length, _CHUNK_HEADER_BYTES))


def _padded(length: int) -> int:
    return (length + 3) // 4 * 4
