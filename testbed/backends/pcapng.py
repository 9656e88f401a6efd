# SPDX-License-Identifier: MIT
"""Reading the captures of a link end: the part of pcapng that the agent writes, much faster than scapy's own reader."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6  # draft-ietf-opsawg-pcapng, section 4
_HEAD = struct.Struct("<II")
_PACKET_HEAD = struct.Struct("<IIIIIII")  # kind, size, interface, timestamp high and low, captured and original length
_KIND_OF_PACKETS = _PACKET.to_bytes(4, "little")
_LITTLE_ENDIAN = 0x1A2B3C4D


class Frame(NamedTuple):  # a capture has a hundred thousand: this is made three times as fast as a dataclass
    """One captured frame.

    Args:
        time_ns: When it passed the link's end: nanoseconds of the capture's own epoch.
        data: The bytes that were kept, from the Ethernet header on.
        length: Bytes that it had on the wire.
    """

    time_ns: int
    data: bytes
    length: int


def frames(data: bytes, epoch_ns: int = 0, at: int = 0, among: bytes = b"") -> Iterator[Frame]:
    """Read the frames of a pcapng file (little-endian, nanosecond timestamps), in the order of the file.

    Args:
        data: The file.
        epoch_ns: What the times are to count from, in the capture's own.
        at: Where in a frame ``among`` has to be; other frames are passed over.
        among: Bytes.

    Raises:
        InternalError: The bytes are no such file; says at which offset.
    """
    offset, end = 0, len(data)
    while offset < end:
        if data.startswith(_KIND_OF_PACKETS, offset) and offset + 32 <= end:
            _, size, _, high, low, kept, length = _PACKET_HEAD.unpack_from(data, offset)
            if 32 <= size <= end - offset and not size % 4:
                start = offset + 28
                offset += size
                if not among or data.startswith(among, start + at):
                    yield Frame((high << 32 | low) - epoch_ns, data[start : start + kept], length)
                continue
        if len(data) - offset < 12:
            raise InternalError(f"capture: {len(data) - offset} bytes at offset {offset} are no pcapng block")
        kind, size = _HEAD.unpack_from(data, offset)
        if size < 12 or size % 4 or offset + size > len(data):
            raise InternalError(
                f"capture: the block of kind {kind:#x} at offset {offset} has an impossible length {size}"
            )
        if kind == _SECTION and int.from_bytes(data[offset + 8 : offset + 12], "little") != _LITTLE_ENDIAN:
            raise InternalError(f"capture: the section at offset {offset} is not little-endian")
        offset += size
