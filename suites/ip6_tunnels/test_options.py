# SPDX-License-Identifier: MIT
"""What a tunnel is told is in the headers that it adds, and what does not fit is not let in (RFC 2473, 2890, 3931)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from suites.ip6_tunnels.ends import configure, inner_address, join, over_a_router, received
from suites.ip6_tunnels.onion import Onion, echoes, onions
from suites.ip6_tunnels.tunnels import IP6GRE, IP6IP6, L2TP_UDP, Tunnel

if TYPE_CHECKING:
    from testbed.backends.network import Network

pytestmark = over_a_router

EXPEDITED = 0xB8  # RFC 3246 in the upper six bits
TIME_EXCEEDED = 3  # RFC 4443, section 3.3
ENCAPSULATION_LIMIT = 4  # type of the option, RFC 2473, section 4.1.1


def requests_at(network: Network, link: str, end: str) -> list[Onion]:
    """Give the pings that a link's end has seen, without the replies."""
    return [onion for onion in echoes(network, link, end) if onion.echo == "request"]


def limit_of(onion: Onion) -> int:
    """Give the encapsulation limit that the outermost options carry."""
    kind, length, limit = onion.layers[2].data[2:5]
    assert (kind, length) == (ENCAPSULATION_LIMIT, 1)
    return int(limit)


def test_outer_header_has_the_hop_limit_and_the_class_of_the_device(network: Network) -> None:
    """A fixed hop limit is the outer one, an inherited traffic class is that of the packet inside."""
    join(network, IP6IP6.with_options("hoplimit 9 tclass inherit encaplimit 2"))
    assert received(network["h1"], inner_address(6, 2), f"-Q{EXPEDITED}") == 3
    seen = requests_at(network, "h1-r1", "h1")
    assert [(onion.outer.hops_left, onion.inner.hops_left) for onion in seen] == [(9, 64)] * 3
    assert [(onion.outer.traffic_class, onion.inner.traffic_class) for onion in seen] == [(EXPEDITED, EXPEDITED)] * 3
    assert [limit_of(onion) for onion in seen] == [2] * 3


def test_gre_header_has_key_checksum_and_sequence_number(network: Network) -> None:
    """All three optional fields are there, in the order of RFC 2890, and the sequence numbers count."""
    join(network, IP6GRE.with_options("encaplimit none key 42 csum seq"))
    assert received(network["h1"], inner_address(6, 2)) == 3
    seen = requests_at(network, "h1-r1", "h1")
    assert [onion.names for onion in seen] == ["ipv6 gre ipv6 icmpv6"] * 3
    flags, keys, numbers = zip(*(struct.unpack_from("!H6xII", onion.layers[2].data) for onion in seen), strict=True)
    assert set(flags) == {0xB000}  # checksum, key and sequence number present
    assert set(keys) == {42}
    assert numbers[1:] == (numbers[0] + 1, numbers[0] + 2)


@pytest.mark.parametrize(
    ("tunnel", "near", "far"),
    [
        (IP6GRE, "key 1", "key 2"),
        (L2TP_UDP, "cookie 00000001 peer_cookie 00000002", "cookie 00000002 peer_cookie 00000003"),
    ],
    ids=["ip6gre-key", "l2tp-cookie"],
)
def test_packets_with_a_wrong_secret_are_not_let_in(network: Network, tunnel: Tunnel, near: str, far: str) -> None:
    """A packet with another key or cookie than the receiver wants arrives at it, and goes no further."""
    join(network, tunnel.with_options(near), tunnel.with_options(far))
    assert received(network["h1"], inner_address(6, 2)) == 0
    arrived = [
        onion for onion in onions(network, "r1-h2", "h2") if onion.names.startswith(tunnel.wire.split(" ether")[0])
    ]
    assert len(arrived) >= 3
    assert not [onion for onion in echoes(network, "r1-h2", "h2") if onion.echo == "reply"]


def test_hop_limit_that_ends_on_the_way_is_reported(network: Network) -> None:
    """With an outer hop limit of 1 the router throws each packet away and tells the tunnel's end."""
    join(network, IP6IP6.with_options("hoplimit 1"))
    assert received(network["h1"], inner_address(6, 2)) == 0
    assert requests_at(network, "r1-h2", "h2") == []
    told = [onion for onion in onions(network, "h1-r1", "h1") if onion.names == "ipv6 icmpv6"]
    router = network["r1"].address(6, "h1-r1")
    reports = [onion.outer.addresses for onion in told if onion.layers[-1].data[0] == TIME_EXCEEDED]
    assert reports == [(router, network["h1"].address(6))] * 3


def test_tunnel_in_a_tunnel_obeys_the_encapsulation_limit(network: Network) -> None:
    """A packet whose limit is used up is not put into one more tunnel; each tunnel takes one off the limit."""
    join(network, IP6IP6)
    for number, name in ((1, "h1"), (2, "h2")):
        ends = f"local {inner_address(6, number)} remote {inner_address(6, 3 - number)}"
        configure(
            network[name],
            f"link add t1 type ip6tnl mode ip6ip6 {ends} encaplimit 1\n"
            f"link set t1 up\naddress add fd98::{number}/64 dev t1 nodad\n",
        )
    assert received(network["h1"], "fd98::2") == 3
    seen = requests_at(network, "h1-r1", "h1")
    assert [onion.names for onion in seen] == ["ipv6 options ipv6 options ipv6 icmpv6"] * 3
    assert [limit_of(onion) for onion in seen] == [0] * 3

    configure(network["h1"], "link change t1 type ip6tnl encaplimit 0\n")
    assert received(network["h1"], "fd98::2") == 0
    assert len(requests_at(network, "h1-r1", "h1")) == len(seen)
