# SPDX-License-Identifier: MIT
"""IPv4 and IPv6 packets of a capture (RFC 791, RFC 8200), for the parsers of what they carry.

It is plain ``struct`` on the raw frames: a capture has some ten thousand of them, and scapy takes as long for one as
this for a hundred.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.backends.network import Network

TCP, UDP, DCCP, SCTP, UDPLITE = 6, 17, 33, 132, 136
ICMP, ICMPV6 = 1, 58
NOT_ECT, ECT_1, ECT_0, CE = 0, 1, 2, 3  # RFC 3168, section 5

_ETHERNET_BYTES = 14
_IPV4, _IPV6 = 0x0800, 0x86DD
_IPV6_HEADER_BYTES = 40
_DO_NOT_FRAGMENT = 0x4000


@dataclass(frozen=True)
class Packet:
    """One IP packet of a capture.

    Attributes:
        time_s: Seconds of the network's clock.
        source, destination: Addresses.
        protocol: What it carries: TCP, UDP, ... of this module.
        ecn: Its two bits of congestion notification.
        whole: Whether routers must not fragment it (IPv6: always).
        body: What it carries, as far as it was captured: 128 bytes of the frame at least, so all headers are whole.
        body_bytes: How many bytes it carries on the wire.
    """

    time_s: float
    source: str
    destination: str
    protocol: int
    ecn: int
    whole: bool
    body: bytes
    body_bytes: int


@dataclass(frozen=True)
class Carried:
    """Something that an IP packet carried.

    Attributes:
        packet: The packet.
    """

    packet: Packet

    @property
    def time_s(self) -> float:
        """Seconds of the network's clock."""
        return self.packet.time_s

    @property
    def source(self) -> str:
        """Address of the sender."""
        return self.packet.source

    @property
    def destination(self) -> str:
        """Address of the receiver."""
        return self.packet.destination


def long_enough(what: str, at: int, length: int, least: int) -> int:
    """Give the length that an entry of a list tells, which has to lead to the next one.

    Args:
        what: Kind of the entry, for the message.
        at: Byte of the list that it begins at.
        length: What it tells, in bytes.
        least: Its head alone, in bytes.

    Raises:
        ValueError: It is shorter than its own head: whoever believed it would never get ahead.
    """
    if length < least:
        raise ValueError(f"{what} at byte {at} says that it is {length} bytes long, less than the {least} of its head")
    return length


def packets(network: Network, link: str, end: str, protocol: int | None = None) -> list[Packet]:
    """Give the IP packets captured at the end of a link, sent and received, in the order of time.

    Args:
        network: The network.
        link: Name of the link.
        end: Name of the node at the end.
        protocol: Only what carries this.
    """
    parsed = (_packet(frame.time_ns / 1e9, frame.data, protocol) for frame in network.link(link).frames(end))
    return [packet for packet in parsed if packet is not None]


def _packet(time_s: float, frame: bytes, wanted: int | None) -> Packet | None:
    """Parse a frame; None where it is no IP packet, or not of the wanted protocol."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    at = _ETHERNET_BYTES
    if kind == _IPV4:
        header, protocol = (frame[at] & 15) * 4, frame[at + 9]
        length, fragment = struct.unpack_from("!H2xH", frame, at + 2)
        length -= header
        traffic, whole = frame[at + 1], bool(fragment & _DO_NOT_FRAGMENT)
        source, destination = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    elif kind == _IPV6:
        header, protocol = _IPV6_HEADER_BYTES, frame[at + 6]
        first, length = struct.unpack_from("!IH", frame, at)
        traffic, whole = first >> 20, True
        source, destination = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    else:
        return None
    if wanted not in (None, protocol):
        return None
    return Packet(
        time_s,
        str(ipaddress.ip_address(source)),
        str(ipaddress.ip_address(destination)),
        protocol,
        traffic & 3,
        whole,
        frame[at + header : at + header + length],
        length,
    )
