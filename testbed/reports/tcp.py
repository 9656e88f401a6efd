# SPDX-License-Identifier: MIT
"""The few fields of a TCP segment that its curves need, straight from the bytes.

scapy decodes what a page shows as text; a curve takes every segment of a transfer, and there scapy's 100 us for each
would be minutes. Sources: RFC 791, RFC 8200, RFC 9293 (3.1), RFC 2018 (3), RFC 8684 (3).
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

MPTCP_KIND = 30
_NAMES = ("MP_CAPABLE", "MP_JOIN", "DSS", "ADD_ADDR", "REMOVE_ADDR", "MP_PRIO", "MP_FAIL", "MP_FASTCLOSE", "MP_TCPRST")
_ETHERNET = 14
_TCP_HEAD = struct.Struct("!HHIIBBH")
_TCP = 6
_EXTENSIONS = frozenset({0, 43, 60})  # hop-by-hop, routing, destination options
_SACK_KIND, _WSCALE_KIND = 5, 3
FIN, SYN, RST, ACK = 1, 2, 4, 16

Key = tuple[bytes, int, bytes, int]
"""Source address and port, destination address and port."""


class Segment(NamedTuple):
    """One segment (a tuple: a page makes a million of them).

    Args:
        key: From where to where.
        seq, ack, flags, window: As on the wire.
        length: Bytes of payload, also where the capture has cut them off.
        sack: Blocks (left, right).
        wscale: The option's shift, or None.
        mptcp: Contents of the MPTCP options, without kind and length.
    """

    key: Key
    seq: int
    ack: int
    flags: int
    window: int
    length: int
    sack: tuple[tuple[int, int], ...]
    wscale: int | None
    mptcp: tuple[bytes, ...]


def mptcp_name(subtype: int) -> str:
    """Name a subtype of the MPTCP option."""
    return _NAMES[subtype] if subtype < len(_NAMES) else f"MPTCP subtype {subtype}"


def parse(frame: bytes) -> Segment | None:
    """Read a frame; None where it is no whole TCP header over IPv4 or IPv6."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) >= _ETHERNET + 20:
        start = _ETHERNET + (frame[_ETHERNET] & 0xF) * 4
        end = _ETHERNET + int.from_bytes(frame[16:18])
        if frame[23] != _TCP or int.from_bytes(frame[20:22]) & 0x1FFF:  # a later fragment has no header
            return None
        addresses = frame[26:30], frame[30:34]
    elif kind == b"\x86\xdd" and len(frame) >= _ETHERNET + 40:
        start, following = _ETHERNET + 40, frame[20]
        end = start + int.from_bytes(frame[18:20])
        while following in _EXTENSIONS and start + 2 <= len(frame):
            following, start = frame[start], start + 8 + frame[start + 1] * 8
        if following != _TCP:
            return None
        addresses = frame[22:38], frame[38:54]
    else:
        return None
    return _segment(frame, start, end, addresses)


def _segment(frame: bytes, start: int, end: int, addresses: tuple[bytes, bytes]) -> Segment | None:
    if start + 20 > len(frame):
        return None
    sport, dport, seq, ack, offset, flags, window = _TCP_HEAD.unpack_from(frame, start)
    data = start + (offset >> 4) * 4
    sack: tuple[tuple[int, int], ...] = ()
    wscale = None
    mptcp: list[bytes] = []
    at = start + 20
    stop = min(data, len(frame))
    while at < stop:
        kind = frame[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        length = frame[at + 1] if at + 1 < stop else 0
        if length < 2 or at + length > stop:
            break
        value = frame[at + 2 : at + length]
        if kind == _SACK_KIND:
            numbers = struct.unpack(f"!{len(value) // 4}I", value[: len(value) // 4 * 4])
            sack = tuple(zip(numbers[::2], numbers[1::2], strict=False))
        elif kind == _WSCALE_KIND and value:
            wscale = value[0]
        elif kind == MPTCP_KIND and value:
            mptcp.append(value)
        at += length
    key = (addresses[0], sport, addresses[1], dport)
    return Segment(key, seq, ack, flags, window, max(0, end - data), sack, wscale, tuple(mptcp))


def name_of(key: Key) -> str:
    """Write a key as ``10.0.1.1:40000 → 10.0.2.2:5000``."""
    source, sport, destination, dport = key
    return f"{_end(source, sport)} → {_end(destination, dport)}"


def _end(address: bytes, port: int) -> str:
    ip = ipaddress.ip_address(address)
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
