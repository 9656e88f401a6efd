# SPDX-License-Identifier: MIT
"""Dumps: whole, repeatable, filtered, and honest about changes that happen while they are read."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from pyroute2.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_FILTERED, NLM_F_DUMP_INTR, NLMSG_DONE, nlmsg
from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWROUTE

from suites.netlink_socket import messages
from suites.netlink_socket.messages import IPV4, Family, both_families
from suites.netlink_socket.netlink import NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK, Netlink, NetlinkError
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from testbed.backends.node import Node

pytestmark = three_in_a_row


SO_RCVBUFFORCE = 33  # asm-generic/socket.h


class BareRequest(nlmsg):  # type: ignore[misc]
    """A GET request with the shortest header there is, as programs of the 1990s send it."""

    fields = (("family", "B"),)


def wait_for(events: Netlink, addresses: set[str]) -> None:
    """Wait until the address group was told of all these addresses: IPv6 puts one in force some time after its ACK."""
    while addresses:
        addresses -= {frame.parsed().get_attr("IFA_ADDRESS") for frame in events.receive()}


@both_families
def test_addresses_dumped_three_times_are_the_same(rtnl: Netlink, middle: Node, family: Family) -> None:
    """GETADDR ends in NLMSG_DONE each time, and the first dump equals the last."""
    dumps = [rtnl.dump(messages.address(family)) for _ in range(3)]
    assert [dump.done.type for dump in dumps] == [NLMSG_DONE] * 3
    assert dumps[0].payloads() == dumps[1].payloads() == dumps[2].payloads()
    found = {entry.get_attr("IFA_ADDRESS") for entry in dumps[0].parsed()}
    assert middle.address(family.version) in found


def test_link_dump_has_more_than_one_message(rtnl: Netlink) -> None:
    """GETLINK gives one message per interface of the node: the loopback and both links."""
    dump = rtnl.dump(messages.link())
    names = [entry.get_attr("IFLA_IFNAME") for entry in dump.parsed()]
    assert len(dump.frames) > 1
    assert names == ["lo", "eth0", "eth1"]
    assert dump.done.type == NLMSG_DONE


def test_one_byte_request_header_is_still_accepted(rtnl: Netlink) -> None:
    """A dump asked for with only ``struct rtgenmsg``, one byte, gives what the full request gives."""
    short = messages.message(BareRequest, RTM_GETLINK, {}, family=socket.AF_UNSPEC)
    found = {entry.get_attr("IFLA_IFNAME") for entry in rtnl.dump(short).parsed()}
    assert found == {"lo", "eth0", "eth1"}


@both_families
def test_dump_interrupted_by_a_change_is_marked(middle: Node, rtnl: Netlink, eth0: int, family: Family) -> None:
    """An address added while a dump of many messages is being read sets NLM_F_DUMP_INTR after it, and only then."""
    addresses = [family.host(number) for number in range(1, 301)]
    with Netlink(middle, groups=[family.address_group]) as events, Netlink(middle, receive_bytes=4096) as reader:
        events.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)
        rtnl.send(*(messages.address(family, RTM_NEWADDR, index=eth0, ip=ip) for ip in addresses), flags=NLM_F_CREATE)
        wait_for(events, set(addresses))
        quiet = reader.dump(messages.address(family))
        reader.send(messages.address(family), flags=NLM_F_DUMP)
        before = reader.receive()
        rtnl.request(messages.address(family, RTM_NEWADDR, index=eth0, ip=family.spare), NLM_F_CREATE)
        wait_for(events, {family.spare})
        after = reader.rest_of_dump()
    found = [entry.get_attr("IFA_ADDRESS") for entry in quiet.parsed()]
    assert [ip for ip in addresses if found.count(ip) != 1] == []  # none lost, none twice where a message ends
    assert not any(frame.flags & NLM_F_DUMP_INTR for frame in [*quiet.frames, quiet.done, *before])
    assert any(frame.flags & NLM_F_DUMP_INTR for frame in [*after.frames, after.done])


@both_families
def test_strict_dump_filters_in_the_kernel(rtnl: Netlink, eth0: int, family: Family) -> None:
    """With NETLINK_GET_STRICT_CHK the index in the request selects one interface, and NLM_F_DUMP_FILTERED says so."""
    lax = rtnl.dump(messages.address(family, index=eth0))
    assert len({entry["index"] for entry in lax.parsed()}) == 3
    rtnl.option(NETLINK_GET_STRICT_CHK)
    strict = rtnl.dump(messages.address(family, index=eth0))
    assert {entry["index"] for entry in strict.parsed()} == {eth0}
    assert all(frame.flags & NLM_F_DUMP_FILTERED for frame in strict.frames)


@both_families
def test_strict_dump_of_routes_by_table(rtnl: Netlink, eth0: int, family: Family) -> None:
    """A strict GETROUTE with RTA_TABLE gives the routes of that table alone."""
    rtnl.request(messages.route(family, RTM_NEWROUTE, dst=family.prefix, OIF=eth0, TABLE=1000), NLM_F_CREATE)
    rtnl.option(NETLINK_GET_STRICT_CHK)
    request = messages.message(type(messages.route(family)), 26, {"RTA_TABLE": 1000}, family=family.number)
    found = [(entry.get_attr("RTA_TABLE"), entry.get_attr("RTA_DST")) for entry in rtnl.dump(request).parsed()]
    assert found == [(1000, family.prefix)]


def test_strict_checking_refuses_a_dirty_header(rtnl: Netlink) -> None:
    """A field that means nothing in a request is refused under strict checking, with the reason in words."""
    rtnl.option(NETLINK_GET_STRICT_CHK)
    rtnl.option(NETLINK_EXT_ACK)
    dirty = messages.message(type(messages.address(IPV4)), RTM_GETADDR, {}, family=socket.AF_INET, prefixlen=24)
    with pytest.raises(NetlinkError, match="Invalid values in header for address dump request") as caught:
        rtnl.dump(dirty)
    assert caught.value.errno == errno.EINVAL
