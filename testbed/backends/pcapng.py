# SPDX-License-Identifier: MIT
"""Reading the captures of a link end: the part of pcapng that the agent writes, much faster than scapy's own reader."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6  # draft-ietf-opsawg-pcapng, section 4
_HEAD = struct.Struct("<II")
_PACKET_HEAD = struct.Struct("<IIIII")
_LITTLE_ENDIAN = 0x1A2B3C4D


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame.

    Args:
        time_ns: When it passed the link's end: nanoseconds of the capture's own epoch.
        data: The bytes that were kept, from the Ethernet header on.
        length: Bytes that it had on the wire.
    """

    time_ns: int
    data: bytes
    length: int


def frames(data: bytes) -> Iterator[Frame]:
    """Read the frames of a pcapng file (little-endian, nanosecond timestamps), in the order of the file.

    Raises:
        InternalError: The bytes are no such file; says at which offset.
    """
    offset = 0
    while offset < len(data):
        if len(data) - offset < 12:
            raise InternalError(f"capture: {len(data) - offset} bytes at offset {offset} are no pcapng block")
        kind, size = _HEAD.unpack_from(data, offset)
        if size < 12 or size % 4 or offset + size > len(data):
            raise InternalError(
                f"capture: the block of kind {kind:#x} at offset {offset} has an impossible length {size}"
            )
        if kind == _SECTION and int.from_bytes(data[offset + 8 : offset + 12], "little") != _LITTLE_ENDIAN:
            raise InternalError(f"capture: the section at offset {offset} is not little-endian")
        if kind == _PACKET:
            _, high, low, kept, length = _PACKET_HEAD.unpack_from(data, offset + 8)
            start = offset + 28
            yield Frame((high << 32) | low, data[start : start + kept], length)
        offset += size
