# SPDX-License-Identifier: MIT
"""The parser of the tunnel suite, on frames that scapy makes."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import HBHOptUnknown, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import ARP, GRE, Ether
from scapy.packet import Packet, Raw

from suites.ip6_tunnels.onion import Onion, peel

LIMIT = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=4, optdata=b"\x04")])
PING = IPv6(src="fd99::1", dst="fd99::2", hlim=7, tc=0xB9) / ICMPv6EchoRequest()


def onion(packet: Packet) -> Onion:
    frame = bytes(Ether() / packet)
    return Onion(0.0, len(frame), peel(frame))


@pytest.mark.parametrize(
    ("packet", "names"),
    [
        (PING, "ipv6 icmpv6"),
        (IP() / ICMP(), "ipv4 icmp"),
        (ARP(), "arp"),
        (IPv6() / LIMIT / GRE() / PING, "ipv6 options gre ipv6 icmpv6"),
        (IPv6() / GRE(key_present=1, seqnum_present=1, chksum_present=1) / IP() / ICMP(), "ipv6 gre ipv4 icmp"),
        (IPv6() / GRE() / Ether() / ARP(), "ipv6 gre ethernet arp"),
        (IP() / PING, "ipv4 ipv6 icmpv6"),
        (IPv6() / UDP(dport=5541) / PING, "ipv6 udp ipv6 icmpv6"),
        (IPv6() / UDP(dport=6080) / Raw(bytes([0, 41, 0, 0])) / PING, "ipv6 udp gue ipv6 icmpv6"),
        (IPv6() / UDP(dport=1701) / Raw(bytes(12)) / Ether() / PING, "ipv6 udp l2tp-udp ethernet ipv6 icmpv6"),
        (IPv6(nh=115) / Raw(bytes(8)) / Ether() / PING, "ipv6 l2tp-ip ethernet ipv6 icmpv6"),
        (IPv6() / UDP(dport=4789) / Raw(bytes(8)) / Ether() / PING, "ipv6 udp vxlan ethernet ipv6 icmpv6"),
        (
            IPv6() / UDP(dport=6081) / Raw(struct.pack("!BBHI", 1, 0, 0x6558, 0) + bytes(4)) / Ether() / PING,
            "ipv6 udp geneve ethernet ipv6 icmpv6",
        ),
        (IPv6() / UDP(dport=53), "ipv6 udp"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_headers_are_found_from_the_outside_in(packet: Packet, names: str) -> None:
    assert onion(packet).names == names


def test_outermost_and_innermost_ip_headers_are_told_apart() -> None:
    peeled = onion(IP(src="10.0.0.1", dst="10.0.0.2", ttl=9, tos=4) / PING)
    assert (peeled.outer.addresses, peeled.outer.hops_left, peeled.outer.traffic_class) == (
        ("10.0.0.1", "10.0.0.2"),
        9,
        4,
    )
    assert (peeled.inner.addresses, peeled.inner.hops_left) == (("fd99::1", "fd99::2"), 7)
    assert peeled.inner.traffic_class == 0xB9


def test_echoes_are_requests_or_replies() -> None:
    kinds = [
        PING,
        IPv6() / ICMPv6EchoReply(),
        IP() / ICMP(type=8),
        IP() / ICMP(type=0),
        IP() / ICMP(type=3),
        IPv6() / UDP(),
    ]
    assert [onion(packet).echo for packet in kinds] == ["request", "reply", "request", "reply", None, None]
