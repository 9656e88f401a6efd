# SPDX-License-Identifier: MIT
"""One frame in words: its protocol, a line, and the fields of its layers, all by scapy."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from testbed.reports.tcp import MPTCP_KIND, mptcp_name

_FIELD_CHARS = 200
# What dissectors are known to raise on frames that somebody has made up.
_SCAPY_RAISES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, struct.error)


@dataclass(frozen=True)
class Decoded:
    """A frame in words.

    Args:
        protocol: The innermost one that scapy knows: ``TCP``.
        info: One line.
        layers: Each layer's name and its fields, name and value, as scapy shows them.
    """

    protocol: str
    info: str
    layers: list[tuple[str, list[tuple[str, str]]]]


@cache
def _ether() -> Any:
    """Import scapy's layers when the first frame comes: that takes a third of a second."""
    from scapy.layers import dhcp, dns, inet, inet6, rip, sctp  # noqa: F401, PLC0415
    from scapy.layers.l2 import Ether  # noqa: PLC0415

    return Ether


def decode(data: bytes) -> Decoded:
    """Decode an Ethernet frame; one that scapy stumbles over is told as such, with its bytes."""
    try:
        packet = _ether()(data)
        found = list(packet.iterpayloads())
        known = [layer for layer in found if layer.name not in {"Raw", "Padding"}] or found
        layers = [(str(layer.name), _fields(layer)) for layer in found]
        return Decoded(_protocol(known), _info(packet, known), layers)
    except _SCAPY_RAISES as error:
        return Decoded("?", f"scapy cannot decode it: {type(error).__name__}: {error}", [])


def _protocol(layers: list[Any]) -> str:
    """Name the innermost protocol; ICMPv6 has a class for each message."""
    name = type(layers[-1]).__name__
    inner = [type(layer).__name__ for layer in layers if type(layer).__name__ in {"TCP", "UDP", "SCTP", "ICMP", "ARP"}]
    if any(type(layer).__name__.startswith("ICMPv6") for layer in layers):
        return "ICMPv6"
    return inner[-1] if inner and name.endswith(("Header", "error")) else name


def _info(packet: Any, layers: list[Any]) -> str:
    """Give scapy's own line without what stands in other columns; TCP gets its numbers."""
    text = str(packet.summary()).removeprefix("Ether / ")
    for lower in ("IP / ", "IPv6 / "):
        text = text.removeprefix(lower)
    text = text.removesuffix(" / Raw").removesuffix(" / Padding").removesuffix(" / Raw")
    tcp = next((layer for layer in layers if type(layer).__name__ == "TCP"), None)
    return text if tcp is None else f"{text} {_tcp(tcp)}"


def _tcp(tcp: Any) -> str:
    """Give what scapy's summary of a segment lacks: numbers, and the options that matter."""
    words = [f"seq={tcp.seq}"]
    if tcp.flags.A:
        words.append(f"ack={tcp.ack}")
    words += [f"win={tcp.window}", f"len={len(tcp.payload)}"]
    for name, value in tcp.options:
        if name == "SAck" and value:
            words.append("sack=" + ",".join(f"{left}-{right}" for left, right in zip(*[iter(value)] * 2, strict=False)))
        elif name == "MSS":
            words.append(f"mss={value}")
        elif name == "WScale":
            words.append(f"wscale={value}")
        elif name == MPTCP_KIND and isinstance(value, bytes) and value:
            words.append(mptcp_name(value[0] >> 4))
    return " ".join(words)


def _fields(layer: Any) -> list[tuple[str, str]]:
    """Give the fields of one layer as scapy shows them."""
    shown = []
    for field in layer.fields_desc:
        if field.name in layer.fields or field.name in layer.default_fields:
            value = str(field.i2repr(layer, layer.getfieldval(field.name)))
            shown.append((str(field.name), value if len(value) <= _FIELD_CHARS else f"{value[:_FIELD_CHARS]}..."))
    return shown
