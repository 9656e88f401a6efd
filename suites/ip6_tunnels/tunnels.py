# SPDX-License-Identifier: MIT
"""The tunnels of the suite: how ip(8) makes each, and what it must look like on the wire."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

INNER4, INNER6 = "10.99.0.{}", "fd99::{}"


@dataclass(frozen=True)
class Tunnel:
    """One kind of tunnel.

    Args:
        name: What the case is called.
        make: Commands of ``ip -batch`` that make the device ``t0``, one per line; ``{local}`` and ``{remote}`` are
            the outer addresses.
        wire: The headers between Ethernet and the packet that is carried.
        mtu: The device's, for an outer MTU of 1500 bytes.
        carries: IP versions that it can carry.
        over: IP version of the outer header.
    """

    name: str
    make: str
    wire: str
    mtu: int
    carries: tuple[int, ...] = (4, 6)
    over: int = 6

    def with_options(self, options: str) -> Tunnel:
        """Give the same tunnel with more options of its device, which is the last one that it makes."""
        return Tunnel(self.name, f"{self.make} {options}", self.wire, self.mtu, self.carries, self.over)


# ip6gre, ip6ip6 and ipip6 put the tunnel encapsulation limit (RFC 2473, section 4.1.1) into 8 bytes of destination
# options unless told "encaplimit none"; 40 bytes are the outer IPv6 header.
IP6GRE = Tunnel(
    "ip6gre", "link add t0 type ip6gre local {local} remote {remote}", "ipv6 options gre", 1500 - 40 - 8 - 4
)
IP6IP6 = Tunnel(
    "ip6ip6", "link add t0 type ip6tnl mode ip6ip6 local {local} remote {remote}", "ipv6 options", 1500 - 40 - 8, (6,)
)
L2TP_UDP = Tunnel(
    "l2tp-udp",
    "l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 encap udp udp_sport 1701 udp_dport 1701"
    " local {local} remote {remote}\n"
    "l2tp add session name t0 tunnel_id 1 session_id 1 peer_session_id 1",
    "ipv6 udp l2tp-udp ethernet",
    1500 - 40 - 8 - 12 - 14,
)
TUNNELS = (
    IP6GRE,
    Tunnel(
        "ip6gretap",
        "link add t0 type ip6gretap local {local} remote {remote}",
        "ipv6 options gre ethernet",
        1500 - 40 - 8 - 4 - 14,
    ),
    IP6IP6,
    Tunnel(
        "ipip6",
        "link add t0 type ip6tnl mode ipip6 local {local} remote {remote}",
        "ipv6 options",
        1500 - 40 - 8,
        (4,),
    ),
    L2TP_UDP,
    Tunnel(
        "l2tp-ip",
        "l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 encap ip local {local} remote {remote}\n"
        "l2tp add session name t0 tunnel_id 1 session_id 1 peer_session_id 1",
        "ipv6 l2tp-ip ethernet",
        1500 - 40 - 8 - 14,
    ),
    Tunnel(
        "fou-ip6ip6",
        "fou add port 5541 ipproto 41 -6\n"
        "link add t0 type ip6tnl mode ip6ip6 local {local} remote {remote} encaplimit none"
        " encap fou encap-sport 5541 encap-dport 5541",
        "ipv6 udp",
        1500 - 40 - 8,
        (6,),
    ),
    Tunnel(
        "fou-ip6gre",
        "fou add port 5547 ipproto 47 -6\n"
        "link add t0 type ip6gre local {local} remote {remote} encaplimit none"
        " encap fou encap-sport 5547 encap-dport 5547",
        "ipv6 udp gre",
        1500 - 40 - 8 - 4,
    ),
    Tunnel(
        "gue-ip6ip6",
        "fou add port 6080 gue -6\n"
        "link add t0 type ip6tnl mode ip6ip6 local {local} remote {remote} encaplimit none"
        " encap gue encap-sport 6080 encap-dport 6080",
        "ipv6 udp gue",
        1500 - 40 - 8 - 4,
        (6,),
    ),
    Tunnel("sit", "link add t0 type sit local {local} remote {remote} ttl 64", "ipv4", 1500 - 20, (6,), over=4),
    Tunnel(
        "fou-sit",
        "fou add port 5541 ipproto 41\n"
        "link add t0 type sit local {local} remote {remote} ttl 64 encap fou encap-sport 5541 encap-dport 5541",
        "ipv4 udp",
        1500 - 20 - 8,
        (6,),
        over=4,
    ),
    Tunnel(  # a device without a lower one takes the MTU that it is given
        "vxlan",
        "link add t0 mtu 1430 type vxlan id 42 local {local} remote {remote} dstport 4789",
        "ipv6 udp vxlan ethernet",
        1500 - 40 - 8 - 8 - 14,
    ),
    Tunnel(
        "geneve",
        "link add t0 type geneve id 42 remote {remote}",
        "ipv6 udp geneve ethernet",
        1500 - 40 - 8 - 8 - 14,
    ),
)

all_tunnels = pytest.mark.parametrize("tunnel", TUNNELS, ids=[tunnel.name for tunnel in TUNNELS])
