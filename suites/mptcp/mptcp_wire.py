# SPDX-License-Identifier: MIT
"""Multipath TCP as it is seen on the wire: TCP option 30 (RFC 8684, section 3), parsed from captured frames."""

from __future__ import annotations

import enum
import functools
import hashlib
import hmac
import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suites.common import ip_wire, tcp_wire
from suites.common.tcp_wire import ACK, FIN, RST, SYN, payload_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.backends.network import Network

OPTION_MPTCP = 30

__all__ = [
    "ACK",
    "FIN",
    "RST",
    "SYN",
    "Option",
    "Segment",
    "Subtype",
    "address_hmac",
    "join_hmac",
    "payload_of",
    "segments",
    "token",
    "with_option",
]


class Subtype(enum.IntEnum):
    """The high half of the option's third byte (RFC 8684, section 8.1)."""

    MP_CAPABLE = 0
    MP_JOIN = 1
    DSS = 2
    ADD_ADDR = 3
    REMOVE_ADDR = 4
    MP_PRIO = 5
    MP_FAIL = 6
    MP_FASTCLOSE = 7
    MP_TCPRST = 8


@dataclass(frozen=True)
class Option:
    """One MPTCP option: its subtype, the low half of its third byte, and the bytes after that."""

    subtype: Subtype
    low: int
    body: bytes

    @property
    def echo(self) -> bool:
        """ADD_ADDR: whether this repeats the peer's announcement (section 3.4.1)."""
        return bool(self.low & 1)

    @property
    def backup(self) -> bool:
        """MP_JOIN in a SYN, MP_PRIO: whether the subflow is for the time that no other works (sections 3.2, 3.3.8)."""
        return bool(self.low & 1)

    @property
    def address_id(self) -> int:
        """ADD_ADDR, MP_JOIN in a SYN: the number that stands for the address."""
        return self.body[0]

    @property
    def address(self) -> str:
        """ADD_ADDR: the announced address."""
        ipv6 = len(self.body) >= 17
        return str(ipaddress.ip_address(self.body[1 : 17 if ipv6 else 5]))

    @property
    def mapping(self) -> tuple[int, int] | None:
        """DSS: data sequence number and length of what the segment carries (section 3.3), or None.

        The flags in the second byte: 1 = data ACK, 2 = it has 8 bytes, 4 = mapping, 8 = its number has 8 bytes.
        """
        flags = self.body[0]
        at = 1 + (0 if not flags & 1 else 8 if flags & 2 else 4)
        if not flags & 4:
            return None
        wide = flags & 8
        number = int.from_bytes(self.body[at : at + (8 if wide else 4)])
        at += (8 if wide else 4) + 4
        (length,) = struct.unpack_from("!H", self.body, at)
        return number, length


@dataclass(frozen=True)
class Segment(tcp_wire.Segment):
    """One TCP segment of a capture, with its MPTCP options."""

    @functools.cached_property
    def options(self) -> tuple[Option, ...]:
        """Its MPTCP options."""
        values = (value for kind, value in self.tcp_options if kind == OPTION_MPTCP)
        return tuple(Option(Subtype(value[0] >> 4), value[0] & 15, value[1:]) for value in values)

    def has(self, subtype: Subtype) -> bool:
        """Say whether the segment has an option of a subtype."""
        return any(option.subtype is subtype for option in self.options)

    def option(self, subtype: Subtype) -> Option:
        """Give its option of a subtype; it must have one."""
        return next(option for option in self.options if option.subtype is subtype)


def segments(network: Network, link: str, end: str) -> list[Segment]:
    """Give the TCP segments captured at the end of a link, sent and received, in the order of time."""
    return tcp_wire.parse(ip_wire.packets(network, link, end, ip_wire.TCP), Segment)


def with_option(found: Iterable[Segment], subtype: Subtype) -> list[Segment]:
    """Keep the segments that have an option of a subtype."""
    return [segment for segment in found if segment.has(subtype)]


def token(key: bytes) -> int:
    """Give the token of a key: the first 32 bits of its SHA-256 (section 3.2)."""
    return int.from_bytes(hashlib.sha256(key).digest()[:4])


def join_hmac(own_key: bytes, peer_key: bytes, own_nonce: bytes, peer_nonce: bytes) -> bytes:
    """Compute the HMAC that the owner of a key sends in its part of the MP_JOIN handshake (section 3.2)."""
    return hmac.new(own_key + peer_key, own_nonce + peer_nonce, hashlib.sha256).digest()


def address_hmac(own_key: bytes, peer_key: bytes, address_id: int, address: str, port: int = 0) -> bytes:
    """Compute the HMAC of an ADD_ADDR: its last 8 bytes are in the option (section 3.4.1)."""
    message = bytes([address_id]) + ipaddress.ip_address(address).packed + struct.pack("!H", port)
    return hmac.new(own_key + peer_key, message, hashlib.sha256).digest()[-8:]
