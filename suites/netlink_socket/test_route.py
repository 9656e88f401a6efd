# SPDX-License-Identifier: MIT
"""Routes: RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE (rtnetlink(7))."""

from __future__ import annotations

import errno
import ipaddress
from typing import TYPE_CHECKING

import pytest
from pyroute2.netlink import NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_DELROUTE, RTM_NEWROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from suites.netlink_socket import messages
from suites.netlink_socket.messages import IPV4, IPV6, Family, both_families
from suites.netlink_socket.netlink import Netlink, NetlinkError
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from testbed.backends.network import Network
    from testbed.backends.node import Node

pytestmark = three_in_a_row

ECHO_REQUEST = {4: ("ICMP", 8), 6: ("ICMPv6EchoRequest", 128)}
RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT = 6, 7, 8


def gateways(rtnl: Netlink, family: Family) -> list[str]:
    """Give the gateways of the routes to the documentation prefix, in the order of the dump."""
    found = [
        entry for entry in rtnl.dump(messages.route(family)).parsed() if entry.get_attr("RTA_DST") == family.prefix
    ]
    return [entry.get_attr("RTA_GATEWAY") for entry in found]


@both_families
def test_route_is_added_and_deleted_and_the_dump_is_the_first_again(
    rtnl: Netlink, left: Node, middle: Node, eth0: int, family: Family
) -> None:
    """NEWROUTE with destination, source, gateway and interface, then DELROUTE: both acknowledged, nothing is left."""
    before = rtnl.dump(messages.route(family)).payloads()
    given = {"PREFSRC": middle.address(family.version), "GATEWAY": left.address(family.version), "OIF": eth0}

    rtnl.request(messages.route(family, RTM_NEWROUTE, dst=family.prefix, **given), NLM_F_CREATE | NLM_F_EXCL)
    during = rtnl.dump(messages.route(family))
    [added] = [frame for frame in during.frames if frame.payload not in before]
    assert {name: added.parsed().get_attr(f"RTA_{name}") for name in ("DST", *given)} == {"DST": family.prefix} | given

    rtnl.request(messages.route(family, RTM_DELROUTE, dst=family.prefix, **given))
    assert rtnl.dump(messages.route(family)).payloads() == before


@both_families
def test_existing_route_with_excl_is_refused(rtnl: Netlink, left: Node, family: Family) -> None:
    """NLM_F_CREATE with NLM_F_EXCL on a route that is there gives EEXIST."""
    request = messages.route(family, RTM_NEWROUTE, dst=family.prefix, GATEWAY=left.address(family.version))
    rtnl.request(request, NLM_F_CREATE | NLM_F_EXCL)
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(request, NLM_F_CREATE | NLM_F_EXCL)
    assert caught.value.errno == errno.EEXIST


@both_families
def test_replace_of_a_missing_route_is_refused(rtnl: Netlink, left: Node, family: Family) -> None:
    """NLM_F_REPLACE without NLM_F_CREATE on a route that is not there gives ENOENT."""
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(
            messages.route(family, RTM_NEWROUTE, dst=family.prefix, GATEWAY=left.address(family.version)), NLM_F_REPLACE
        )
    assert caught.value.errno == errno.ENOENT
    assert gateways(rtnl, family) == []


@both_families
def test_replace_exchanges_the_gateway(rtnl: Netlink, left: Node, right: Node, family: Family) -> None:
    """NLM_F_REPLACE leaves one route, with the new gateway."""
    one, two = left.address(family.version), right.address(family.version)
    rtnl.request(messages.route(family, RTM_NEWROUTE, dst=family.prefix, GATEWAY=one), NLM_F_CREATE)
    assert gateways(rtnl, family) == [one]
    rtnl.request(messages.route(family, RTM_NEWROUTE, dst=family.prefix, GATEWAY=two), NLM_F_CREATE | NLM_F_REPLACE)
    assert gateways(rtnl, family) == [two]


@both_families
def test_deleting_a_missing_route_is_refused(rtnl: Netlink, eth0: int, family: Family) -> None:
    """DELROUTE of a route that is not there gives ESRCH."""
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(messages.route(family, RTM_DELROUTE, dst=family.prefix, OIF=eth0))
    assert caught.value.errno == errno.ESRCH


@pytest.mark.parametrize(
    ("family", "number"), [(IPV4, errno.ENETUNREACH), (IPV6, errno.EHOSTUNREACH)], ids=["ipv4", "ipv6"]
)
def test_gateway_out_of_reach_is_refused(rtnl: Netlink, family: Family, number: int) -> None:
    """A gateway that no connected prefix covers is refused: the two families differ in the errno."""
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(
            messages.route(family, RTM_NEWROUTE, dst=family.prefix, GATEWAY=family.spare), NLM_F_CREATE | NLM_F_EXCL
        )
    assert caught.value.errno == number


@both_families
def test_lookup_says_how_a_packet_would_leave(
    rtnl: Netlink, left: Node, middle: Node, eth0: int, family: Family
) -> None:
    """GETROUTE without NLM_F_DUMP resolves one destination: interface and source address."""
    target = left.address(family.version)
    request = messages.route(family, dst=target)
    request["dst_len"] = family.address_length
    [frame] = rtnl.request(request)
    answer = frame.parsed()
    assert answer.get_attr("RTA_OIF") == eth0
    assert answer.get_attr("RTA_PREFSRC") == middle.address(family.version)
    assert answer.get_attr("RTA_DST") == target


@both_families
@pytest.mark.parametrize("order", [(100, 200), (200, 100)], ids=["better-first", "worse-first"])
def test_route_with_the_lowest_metric_is_taken(
    rtnl: Netlink, left: Node, right: Node, family: Family, order: tuple[int, int]
) -> None:
    """Of two routes to one prefix that with the lower metric carries packets; once it is gone, the other does."""
    gateway = {100: left.address(family.version), 200: right.address(family.version)}
    for metric in order:
        given = messages.route(family, RTM_NEWROUTE, dst=family.prefix, GATEWAY=gateway[metric], PRIORITY=metric)
        rtnl.request(given, NLM_F_CREATE | NLM_F_EXCL)
    assert gateways(rtnl, family) == [gateway[100], gateway[200]]

    assert gateway_to(rtnl, family, family.prefix) == gateway[100]
    rtnl.request(messages.route(family, RTM_DELROUTE, dst=family.prefix, PRIORITY=100))
    assert gateway_to(rtnl, family, family.prefix) == gateway[200]


@both_families
@pytest.mark.parametrize("wider_first", [True, False], ids=["wider-first", "narrower-first"])
def test_route_with_the_longest_prefix_is_taken(
    rtnl: Netlink, left: Node, right: Node, family: Family, *, wider_first: bool
) -> None:
    """Of a prefix and a quarter of it, the quarter's own addresses take its route, the ones beside it the other."""
    wide = ipaddress.ip_network(f"{family.prefix}/{family.prefix_length}")
    _, narrow, *_ = wide.subnets(prefixlen_diff=2)
    gateway = {wide: left.address(family.version), narrow: right.address(family.version)}
    for prefix in (wide, narrow) if wider_first else (narrow, wide):
        given = messages.route(family, RTM_NEWROUTE, dst=str(prefix.network_address), GATEWAY=gateway[prefix])
        given["dst_len"] = prefix.prefixlen
        rtnl.request(given, NLM_F_CREATE | NLM_F_EXCL)
    first, last = narrow.network_address, narrow.broadcast_address
    for address, prefix in ((first - 1, wide), (first, narrow), (last, narrow), (last + 1, wide)):
        assert gateway_to(rtnl, family, str(address)) == gateway[prefix], address


def gateway_to(rtnl: Netlink, family: Family, address: str) -> str:
    """Ask the kernel which gateway a packet to an address would take."""
    request = messages.route(family, dst=address)
    request["dst_len"] = family.address_length
    [frame] = rtnl.request(request)
    return str(frame.parsed().get_attr("RTA_GATEWAY"))


@both_families
@pytest.mark.parametrize(
    ("kind", "number"),
    [(RTN_BLACKHOLE, errno.EINVAL), (RTN_UNREACHABLE, errno.EHOSTUNREACH), (RTN_PROHIBIT, errno.EACCES)],
    ids=["blackhole", "unreachable", "prohibit"],
)
def test_route_that_refuses_gives_its_own_errno(rtnl: Netlink, family: Family, kind: int, number: int) -> None:
    """A lookup that hits a blackhole, unreachable or prohibit route fails with that type's errno (ip-route(8))."""
    request = messages.route(family, RTM_NEWROUTE, dst=family.prefix)
    request["type"] = kind
    rtnl.request(request, NLM_F_CREATE)
    lookup = messages.route(family, dst=family.prefix)
    lookup["dst_len"] = family.address_length
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(lookup)
    assert caught.value.errno == number


@both_families
def test_echo_gives_the_sender_its_own_notification(rtnl: Netlink, eth0: int, family: Family) -> None:
    """NLM_F_ECHO: the route as it was stored comes back before the acknowledgement, under the request's number."""
    request = messages.route(family, RTM_NEWROUTE, dst=family.prefix, OIF=eth0)
    [echo] = rtnl.request(request, NLM_F_CREATE | NLM_F_ECHO)
    assert echo.type == RTM_NEWROUTE
    assert echo.parsed().get_attr("RTA_DST") == family.prefix


@both_families
def test_multipath_route_keeps_both_next_hops(rtnl: Netlink, left: Node, right: Node, family: Family) -> None:
    """RTA_MULTIPATH with weights 1 and 3 is stored and dumped as it was given."""
    hops = [(left.address(family.version), 0), (right.address(family.version), 2)]
    nested = [{"hops": weight, "oif": 0, "flags": 0, "attrs": [("RTA_GATEWAY", gateway)]} for gateway, weight in hops]
    rtnl.request(messages.route(family, RTM_NEWROUTE, dst=family.prefix, MULTIPATH=nested), NLM_F_CREATE)
    [stored] = [
        entry for entry in rtnl.dump(messages.route(family)).parsed() if entry.get_attr("RTA_DST") == family.prefix
    ]
    found = [(hop.get_attr("RTA_GATEWAY"), hop["hops"]) for hop in stored.get_attr("RTA_MULTIPATH")]
    assert found == hops


@both_families
def test_added_route_carries_packets_to_the_far_node(network: Network, left: Node, right: Node, family: Family) -> None:
    """Without its route the left node cannot reach the right one; with a NEWROUTE the echo comes back after 24 ms."""
    far, gateway = right.address(family.version), network["r1"].address(family.version)
    with Netlink(left) as rtnl:
        [present] = [
            entry for entry in rtnl.dump(messages.route(family)).parsed() if entry.get_attr("RTA_GATEWAY") == gateway
        ]
        wanted = messages.message(
            rtmsg,
            RTM_DELROUTE,
            dict(present["attrs"]),
            **{name: present[name] for name in ("family", "dst_len", "table", "proto", "scope", "type")},
        )
        rtnl.request(wanted)
        assert "unreachable" in left.run(["ping", "-c1", "-W1", far], check=False).stderr
        wanted["header"]["type"] = RTM_NEWROUTE
        rtnl.request(wanted, NLM_F_CREATE)
    assert "1 received" in left.run(["ping", "-c1", "-W1", far]).stdout
    layer, request = ECHO_REQUEST[family.version]
    arrived = [packet for packet in network.link("r1-h2").packets("h2") if layer in packet]
    [echo] = [packet for packet in arrived if packet[layer].type == request]
    assert echo.time > 0.012  # both links' delays lie behind it
