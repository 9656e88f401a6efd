# SPDX-License-Identifier: MIT
"""Read the captures of a record: the agent's pcapng files, forwards, or only their last frames.

scapy's reader takes 20 us for each frame and cannot start at the end; a case may leave a hundred thousand.
It decodes here, but only what is shown. Source: draft-ietf-opsawg-pcapng, sections 4.1 to 4.3.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import ConfigError
from testbed.harness.recorder import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECTION = 0x0A0D0D0A
_ENHANCED_PACKET = 6
_HEAD = struct.Struct("<II")
_PACKET = struct.Struct("<IIIII")  # interface, timestamp high and low, captured length, original length
_TAIL = struct.Struct("<I")
_SMALLEST = 12
_LARGEST = 1 << 20  # bytes of a block; a frame has 64 KiB at most
_FLAGS_OPTION = struct.Struct("<HHI")  # epb_flags: code 2, length 4, flags; the lowest two bits are the direction
_DIRECTIONS = {1: False, 2: True}


@dataclass(frozen=True)
class Frame:
    """One captured frame.

    Args:
        time_ns: ns since 1970; the network's clock counts from the record's ``epoch_ns``.
        data: The captured bytes.
        length: Bytes on the wire.
        sent: Whether the node at the captured end sent it (else it received it); None where the file does not say.
    """

    time_ns: int
    data: bytes
    length: int
    sent: bool | None = None

    def clock(self, epoch_ns: int) -> str:
        """Write its time after ``epoch_ns`` (ns since 1970) in seconds, with nine places."""
        return seconds(self.time_ns - epoch_ns)

    def summary(self, epoch_ns: int = 0) -> str:
        """Decode it to one line, with its time after ``epoch_ns`` (ns since 1970)."""
        from scapy.layers import inet, inet6  # noqa: F401, PLC0415 (importing scapy takes a third of a second)
        from scapy.layers.l2 import Ether  # noqa: PLC0415

        return f"{seconds(self.time_ns - epoch_ns)} s {self.length} bytes {Ether(self.data).summary()}"


def frames(path: Path) -> Iterator[Frame]:
    """Read a capture from its start; a block that was cut off ends it.

    Raises:
        ConfigError: It is no pcapng file in little-endian order.
    """
    if not path.exists():
        return
    with path.open("rb") as stream:  # block by block: a capture may be larger than memory
        head = stream.read(_HEAD.size)
        if head and _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))[0] != _SECTION:
            raise ConfigError(f"{path} is no pcapng file: it starts with {head[:4]!r}")
        while len(head) == _HEAD.size:
            kind, length = _HEAD.unpack(head)
            rest = stream.read(length - _HEAD.size) if _SMALLEST <= length <= _LARGEST else b""
            if len(rest) != length - _HEAD.size:
                return
            if kind == _ENHANCED_PACKET:
                yield _frame(head + rest)
            head = stream.read(_HEAD.size)


def last_frames(path: Path, count: int) -> list[Frame]:
    """Read the last frames of a capture from its end, oldest first; each block has its length at its end, too."""
    found: list[Frame] = []
    with path.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end >= _SMALLEST and len(found) < count:
            stream.seek(end - _TAIL.size)
            (length,) = _TAIL.unpack(stream.read(_TAIL.size))
            if length < _SMALLEST or length > end:
                break
            stream.seek(end - length)
            block = stream.read(length)
            end -= length
            if _HEAD.unpack_from(block)[0] == _ENHANCED_PACKET:
                found.append(_frame(block))
    return found[::-1]


def last_of_all(folder: Path, count: int, epoch_ns: int = 0) -> list[str]:
    """Decode the last frames of all captures of a record, oldest first, each line with its link end."""
    seen = [
        (frame.time_ns, path.stem, frame)
        for path in sorted((folder / "captures").glob("*.pcapng"))
        for frame in last_frames(path, count)
    ]
    seen.sort(key=lambda entry: entry[:2])
    return [f"{end}: {frame.summary(epoch_ns)}" for _, end, frame in seen[-count:]]


def _frame(block: bytes) -> Frame:
    _, high, low, captured, length = _PACKET.unpack_from(block, _HEAD.size)
    start = _HEAD.size + _PACKET.size
    return Frame((high << 32) + low, block[start : start + captured], length, _sent(block, start + captured))


def _sent(block: bytes, end: int) -> bool | None:
    """Read the direction, which the agent writes as a frame's first option."""
    options = end + -end % 4
    if options + _FLAGS_OPTION.size > len(block) - _TAIL.size:
        return None
    code, length, flags = _FLAGS_OPTION.unpack_from(block, options)
    return _DIRECTIONS.get(flags & 3) if (code, length) == (2, 4) else None
