# SPDX-License-Identifier: MIT
"""Policy routing: RTM_NEWRULE and RTM_DELRULE (ip-rule(8))."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELRULE, RTM_NEWROUTE, RTM_NEWRULE

from suites.netlink_socket import messages
from suites.netlink_socket.messages import Family, both_families
from suites.netlink_socket.netlink import Netlink, NetlinkError
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from testbed.backends.node import Node

pytestmark = three_in_a_row

TABLE, PRIORITY, MARK = 1000, 700, 0x51


def new(family: Family, number: int = RTM_NEWRULE) -> object:
    """Build the rule of all cases: packets with the mark look up the table."""
    return messages.rule(family, number, table=TABLE, priority=PRIORITY, mark=MARK)


@both_families
def test_rule_is_added_and_deleted_and_the_dump_is_the_first_again(rtnl: Netlink, family: Family) -> None:
    """NEWRULE is in the dump with priority, mark and table; DELRULE leaves what was there before."""
    before = rtnl.dump(messages.rule(family)).payloads()
    rtnl.request(new(family), NLM_F_CREATE | NLM_F_EXCL)
    [added] = [frame for frame in rtnl.dump(messages.rule(family)).frames if frame.payload not in before]
    found = added.parsed()
    assert [found.get_attr(f"FRA_{name}") for name in ("PRIORITY", "FWMARK", "TABLE")] == [PRIORITY, MARK, TABLE]
    rtnl.request(new(family, RTM_DELRULE))
    assert rtnl.dump(messages.rule(family)).payloads() == before


@both_families
def test_rules_are_dumped_by_priority(rtnl: Netlink, family: Family) -> None:
    """Rules added in any order are dumped, and so tried, from the lowest number to the highest."""
    for priority in (300, 100, 200):
        rtnl.request(messages.rule(family, RTM_NEWRULE, table=TABLE, priority=priority, mark=MARK), NLM_F_CREATE)
    found = [entry.get_attr("FRA_PRIORITY") or 0 for entry in rtnl.dump(messages.rule(family)).parsed()]
    assert [number for number in found if number in {100, 200, 300}] == [100, 200, 300]
    assert found == sorted(found)


@both_families
def test_rule_sends_marked_packets_to_its_table(rtnl: Netlink, eth0: int, family: Family) -> None:
    """A lookup with the mark takes the route of the rule's table, one without does not find it."""
    rtnl.request(messages.route(family, RTM_NEWROUTE, dst=family.prefix, OIF=eth0, TABLE=TABLE), NLM_F_CREATE)
    rtnl.request(new(family), NLM_F_CREATE)

    def lookup(mark: int) -> object:
        request = messages.route(family, dst=family.prefix, MARK=mark)
        request["dst_len"] = family.address_length
        [frame] = rtnl.request(request)
        return frame.parsed().get_attr("RTA_OIF")

    assert lookup(MARK) == eth0
    with pytest.raises(NetlinkError) as caught:
        lookup(0)
    assert caught.value.errno == errno.ENETUNREACH


@both_families
def test_same_rule_with_excl_is_refused(rtnl: Netlink, family: Family) -> None:
    """NEWRULE with NLM_F_EXCL on a rule that is there gives EEXIST."""
    rtnl.request(new(family), NLM_F_CREATE | NLM_F_EXCL)
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(new(family), NLM_F_CREATE | NLM_F_EXCL)
    assert caught.value.errno == errno.EEXIST


@both_families
def test_deleting_a_missing_rule_is_refused(rtnl: Netlink, family: Family) -> None:
    """DELRULE of a rule that is not there gives ENOENT."""
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(new(family, RTM_DELRULE))
    assert caught.value.errno == errno.ENOENT


@both_families
def test_loopback_prefix_is_routed_by_the_local_table_first(rtnl: Netlink, middle: Node, family: Family) -> None:
    """The first rule, priority 0, looks up the local table: a node's own address leaves through the loopback."""
    [first, *_] = rtnl.dump(messages.rule(family)).parsed()
    assert (first.get_attr("FRA_PRIORITY") or 0, first.get_attr("FRA_TABLE")) == (0, 255)
    request = messages.route(family, dst=middle.address(family.version))
    request["dst_len"] = family.address_length
    [frame] = rtnl.request(request)
    [loopback] = rtnl.request(messages.link(IFNAME="lo"))
    assert frame.parsed().get_attr("RTA_OIF") == loopback.parsed()["index"]
