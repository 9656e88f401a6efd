# SPDX-License-Identifier: MIT
"""Frames as layers around layers: which headers a frame has, from the outermost on, and what they say.

Sources: RFC 8200 (IPv6), 2473 (IPv6 tunnels), 2784 and 2890 (GRE), 3931 (L2TPv3), 7348 (VXLAN), 8926 (Geneve),
draft-ietf-intarea-gue (GUE), and ``include/uapi/linux/fou.h``.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.backends.network import Network

FOU_PORTS = 5500  # the suite's own rule: foo-over-UDP carries protocol N on port 5500 + N
GUE_PORT, L2TP_PORT = 6080, 1701
NEXT = {1: "icmp", 4: "ipv4", 17: "udp", 41: "ipv6", 47: "gre", 58: "icmpv6", 60: "options", 115: "l2tp-ip"}
ETHER_TYPE = {0x0800: "ipv4", 0x86DD: "ipv6", 0x6558: "ethernet", 0x0806: "arp"}
UDP_PORT = {GUE_PORT: "gue", L2TP_PORT: "l2tp-udp", 4789: "vxlan", 6081: "geneve"}
L2TP_SUBLAYER = 4  # the "default" layer 2 specific sublayer of ip-l2tp(8)
ECHO_TYPES = {"icmp": {8: "request", 0: "reply"}, "icmpv6": {128: "request", 129: "reply"}}
End = str


@dataclass(frozen=True)
class Layer:
    """One header and all that follows it.

    Args:
        name: ``ethernet``, ``ipv6``, ``gre``, ...
        data: The bytes from the header on.
    """

    name: str
    data: bytes

    def inside(self) -> tuple[str | None, int]:
        """Give the name of the next header (None: not known, or the last) and how many bytes this one has."""
        data = self.data
        match self.name:
            case "ethernet":
                return ETHER_TYPE.get(_u16(data, 12)), 14
            case "ipv6":
                return NEXT.get(data[6]), 40
            case "ipv4":
                return NEXT.get(data[9]), 4 * (data[0] & 0xF)
            case "options":
                return NEXT.get(data[0]), 8 * (data[1] + 1)
            case "gre":
                optional = sum(bool(data[0] & bit) for bit in (0x80, 0x20, 0x10))  # checksum, key, sequence number
                return ETHER_TYPE.get(_u16(data, 2)), 4 + 4 * optional
            case "udp":
                port = _u16(data, 2)
                return UDP_PORT.get(port, NEXT.get(port - FOU_PORTS)), 8
            case "gue":
                return NEXT.get(data[1]), 4 + 4 * (data[0] & 0x1F)
            case "l2tp-udp":
                return "ethernet", 8 + L2TP_SUBLAYER
            case "l2tp-ip":
                return "ethernet", 4 + L2TP_SUBLAYER
            case "vxlan":
                return "ethernet", 8
            case "geneve":
                return ETHER_TYPE.get(_u16(data, 2)), 8 + 4 * (data[0] & 0x3F)
            case _:
                return None, 0

    @property
    def addresses(self) -> tuple[str, str]:
        """Source and destination of an IP header."""
        start, length = (8, 16) if self.name == "ipv6" else (12, 4)
        raw = self.data[start : start + length], self.data[start + length : start + 2 * length]
        return str(ipaddress.ip_address(raw[0])), str(ipaddress.ip_address(raw[1]))

    @property
    def hops_left(self) -> int:
        """Hop limit or time to live of an IP header."""
        return self.data[7] if self.name == "ipv6" else self.data[8]

    @property
    def traffic_class(self) -> int:
        """DSCP and ECN of an IP header."""
        return _u16(self.data, 0) >> 4 & 0xFF if self.name == "ipv6" else self.data[1]


@dataclass(frozen=True)
class Onion:
    """A frame, peeled.

    Args:
        time_s: When it passed, in seconds of the network's clock.
        length: Bytes on the wire.
        layers: Its headers, from Ethernet on.
    """

    time_s: float
    length: int
    layers: tuple[Layer, ...]

    @property
    def names(self) -> str:
        """All names but the first, which is always ``ethernet``."""
        return " ".join(layer.name for layer in self.layers[1:])

    @property
    def outer(self) -> Layer:
        """The outermost IP header."""
        return self.layers[1]

    @property
    def inner(self) -> Layer:
        """The innermost IP header."""
        return [layer for layer in self.layers if layer.name in ("ipv4", "ipv6")][-1]

    @property
    def echo(self) -> str | None:
        """``request`` or ``reply`` of a ping, else None."""
        last = self.layers[-1]
        return ECHO_TYPES.get(last.name, {}).get(last.data[0]) if last.data else None


def peel(data: bytes) -> tuple[Layer, ...]:
    """Find the headers of a frame."""
    layers = [Layer("ethernet", data)]
    while True:
        name, length = layers[-1].inside()
        if name is None:
            return tuple(layers)
        layers.append(Layer(name, layers[-1].data[length:]))


def onions(network: Network, link: str, end: End) -> list[Onion]:
    """Peel all frames that a link's end has seen."""
    return [Onion(frame.time_ns / 1e9, frame.length, peel(frame.data)) for frame in network.link(link).frames(end)]


def echoes(network: Network, link: str, end: End) -> list[Onion]:
    """Peel all pings and their replies that a link's end has seen, in or outside of tunnels."""
    return [onion for onion in onions(network, link, end) if onion.echo]


def _u16(data: bytes, at: int) -> int:
    (number,) = struct.unpack_from("!H", data, at)
    return int(number)
