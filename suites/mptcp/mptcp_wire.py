# SPDX-License-Identifier: MIT
"""Multipath TCP as it is seen on the wire: TCP option 30 (RFC 8684, section 3), parsed from captured frames.

The parser is plain ``struct`` on the raw frames: a capture has some ten thousand of them, and scapy takes as long
for one as this for a hundred.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.backends.network import Network

OPTION_MPTCP = 30
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_ETHERNET_BYTES = 14
_IPV4, _IPV6 = 0x0800, 0x86DD
_TCP = 6


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
class Segment:
    """One TCP segment of a capture.

    Attributes:
        time_s: Seconds of the network's clock.
        source, destination: Addresses.
        source_port, destination_port: Ports.
        flags: TCP flags, as FIN, SYN, RST, ACK of this module.
        payload_bytes: What follows the TCP header.
        options: Its MPTCP options.
    """

    time_s: float
    source: str
    destination: str
    source_port: int
    destination_port: int
    flags: int
    payload_bytes: int
    options: tuple[Option, ...]

    def has(self, subtype: Subtype) -> bool:
        """Say whether the segment has an option of a subtype."""
        return any(option.subtype is subtype for option in self.options)

    def option(self, subtype: Subtype) -> Option:
        """Give its option of a subtype; it must have one."""
        return next(option for option in self.options if option.subtype is subtype)


def segments(network: Network, link: str, end: str) -> list[Segment]:
    """Give the TCP segments captured at the end of a link, sent and received, in the order of time."""
    parsed = (_segment(frame.time_ns / 1e9, frame.data) for frame in network.link(link).frames(end))
    return [segment for segment in parsed if segment is not None]


def with_option(found: Iterable[Segment], subtype: Subtype) -> list[Segment]:
    """Keep the segments that have an option of a subtype."""
    return [segment for segment in found if segment.has(subtype)]


def payload_of(found: Iterable[Segment], source: str, *, since_s: float = 0.0, until_s: float = 1e9) -> int:
    """Add up the payload that an address sent within a time, retransmissions included, in bytes."""
    return sum(entry.payload_bytes for entry in found if entry.source == source and since_s <= entry.time_s < until_s)


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


def _segment(time_s: float, frame: bytes) -> Segment | None:
    """Parse a frame; None where it is no TCP segment. Frames are cut to 128 bytes at least: the headers are whole."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    at = _ETHERNET_BYTES
    if kind == _IPV4 and frame[at + 9] == _TCP:
        header, (length,) = (frame[at] & 15) * 4, struct.unpack_from("!H", frame, at + 2)
        addresses = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    elif kind == _IPV6 and frame[at + 6] == _TCP:
        header, length = 40, struct.unpack_from("!H", frame, at + 4)[0] + 40
        addresses = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    else:
        return None
    tcp = at + header
    source_port, destination_port = struct.unpack_from("!HH", frame, tcp)
    tcp_header = (frame[tcp + 12] >> 4) * 4
    return Segment(
        time_s,
        str(ipaddress.ip_address(addresses[0])),
        str(ipaddress.ip_address(addresses[1])),
        source_port,
        destination_port,
        frame[tcp + 13],
        length - header - tcp_header,
        tuple(_options(frame[tcp + 20 : tcp + tcp_header])),
    )


def _options(data: bytes) -> Iterator[Option]:
    """Give the MPTCP options among all TCP options (RFC 9293, section 3.1: kind, length, value)."""
    at = 0
    while at < len(data) and data[at] != 0:
        if data[at] == 1:  # no-operation has no length
            at += 1
            continue
        length = data[at + 1]
        if data[at] == OPTION_MPTCP:
            yield Option(Subtype(data[at + 2] >> 4), data[at + 2] & 15, data[at + 3 : at + length])
        at += length
