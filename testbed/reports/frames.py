# SPDX-License-Identifier: MIT
"""Frames as lines of a table: when, where, from whom to whom, what."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from testbed.reports.decode import Decoded, decode
from testbed.reports.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.harness.packets import Frame

HEADINGS = ("time", "at", "source", "destination", "protocol", "info")
_WIDTHS = (16, 14, 15, 15, 8, 0)
_MAC_BYTES = 6
_DUMP_BYTES = 16
# Of these layers a frame's addresses are taken, the innermost first; an ICMP error's quoted header is another class.
_SOURCES = {"IP": ("src", "dst"), "IPv6": ("src", "dst"), "ARP": ("psrc", "pdst")}


def row(frame: Frame, at: str, epoch_ns: int) -> tuple[str, ...]:
    """Decode a frame into the cells of a table.

    Args:
        frame: The frame.
        at: The link end that it was captured at: ``LINK.NODE``.
        epoch_ns: What its time counts from, ns since 1970.

    Returns:
        Cells as of ``HEADINGS``: time in seconds of the network's clock with nine places.
    """
    found = decode(frame.data)
    return cells(frame, at, epoch_ns, [*addresses(frame, found), found.protocol, found.info])


def cells(frame: Frame, at: str, epoch_ns: int, words: Sequence[str]) -> tuple[str, ...]:
    """Give the cells of a frame whose source, destination, protocol and info somebody has decoded."""
    source, destination, protocol, info = words
    cut = f" [{len(frame.data)} of {frame.length} bytes kept]" if len(frame.data) < frame.length else ""
    arrow = {True: "> ", False: "< ", None: ""}[frame.sent]
    return (
        frame.clock(epoch_ns),
        arrow + at,
        plain(source),
        plain(destination),
        plain(protocol),
        " ".join(plain(info + cut).split()),
    )


def text(words: Sequence[str]) -> str:
    """Write cells as one line: columns of fixed widths, so that the first line need not wait for the last."""
    padded = [words[0].rjust(_WIDTHS[0])]
    padded += [word.ljust(width) for word, width in zip(words[1:], _WIDTHS[1:], strict=True)]
    return "  ".join(padded).rstrip()


def addresses(frame: Frame, decoded: Decoded) -> tuple[str, str]:
    """Give source and destination: of the innermost IP header or of ARP, else the MAC addresses."""
    for name, fields in reversed(decoded.layers):
        if name in _SOURCES:
            known = dict(fields)
            pair = [known.get(key, "").strip("'\"") for key in _SOURCES[name]]
            if all(_is_address(word) for word in pair):
                return pair[0], pair[1]
    destination, source = frame.data[:_MAC_BYTES], frame.data[_MAC_BYTES : 2 * _MAC_BYTES]
    return source.hex(":"), destination.hex(":")


def dump(data: bytes) -> Iterator[str]:
    """Give the bytes of a frame as lines of sixteen: offset, hexadecimal, text."""
    for offset in range(0, len(data), _DUMP_BYTES):
        part = data[offset : offset + _DUMP_BYTES]
        readable = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"    {offset:04x}  {part.hex(' '):<47}  {readable}"


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
