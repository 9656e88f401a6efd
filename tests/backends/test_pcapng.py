# SPDX-License-Identifier: MIT
"""Captures: what the agent writes is read here, and by scapy alike."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from scapy.utils import RawPcapNgReader

from testbed.backends.pcapng import Frame, frames
from testbed.errors import InternalError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = bytes.fromhex("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000")  # section
HEADER += bytes.fromhex("0100000020000000010000008000000009000100090000000000000020000000")  # Ethernet, 128 bytes, ns


def packet(time_ns: int, data: bytes, length: int) -> bytes:
    body = (
        struct.pack("<IIIII", 0, time_ns >> 32, time_ns & 0xFFFFFFFF, len(data), length)
        + data
        + b"\0" * (-len(data) % 4)
    )
    body += bytes.fromhex("020004000100000000000000")  # flags: inbound
    return struct.pack("<II", 6, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def test_frames_are_read_with_nanoseconds_and_lengths() -> None:
    at = 1_704_067_200_123_456_789
    data = HEADER + packet(at, b"abcde", 1500) + packet(at + 1, b"", 60)
    assert list(frames(data)) == [Frame(at, b"abcde", 1500), Frame(at + 1, b"", 60)]


def test_frames_are_the_same_as_scapys(tmp_path: Path) -> None:
    at = 1_704_067_201_000_000_007
    path = tmp_path / "x.pcapng"
    path.write_bytes(HEADER + packet(at, b"abcdefgh", 8))
    with RawPcapNgReader(str(path)) as reader:
        ((data, meta),) = list(reader)
    (frame,) = frames(path.read_bytes())
    assert (frame.data, frame.time_ns) == (data, (meta.tshigh << 32) | meta.tslow)


def test_frames_that_lack_some_bytes_are_passed_over() -> None:
    data = HEADER + packet(7, b"..abcd", 6) + packet(8, b"abcd..", 6) + packet(9, b"..ab", 4)
    assert [frame.time_ns for frame in frames(data, epoch_ns=7, at=2, among=b"ab")] == [0, 2]
    assert [frame.time_ns for frame in frames(data, epoch_ns=7)] == [0, 1, 2]


def test_frames_of_nothing_are_none() -> None:
    assert list(frames(b"")) == []
    assert list(frames(HEADER)) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEADER[:-1], r"^capture: the block of kind 0x1 at offset 28 has an impossible length 32$"),
        (HEADER + b"abc", r"^capture: 3 bytes at offset 60 are no pcapng block$"),
        (HEADER + bytes(16), r"^capture: the block of kind 0x0 at offset 60 has an impossible length 0$"),
        (
            bytes.fromhex("0a0d0d0a0000001c1a2b3c4d") + bytes(16),
            r"^capture: the block of kind 0xa0d0d0a at offset 0 has an impossible length 469762048$",
        ),
        (
            bytes.fromhex("0a0d0d0a0c0000001a2b3c4d"),
            r"^capture: the section at offset 0 is not little-endian$",
        ),
    ],
)
def test_frames_of_a_broken_file_say_where(data: bytes, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        list(frames(data))
