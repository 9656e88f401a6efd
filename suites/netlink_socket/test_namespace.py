# SPDX-License-Identifier: MIT
"""Network namespaces by number: RTM_NEWNSID, RTM_GETNSID, and devices that move between nodes."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest
from pyroute2.netlink import NLM_F_CREATE
from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_GETNSID, RTM_NEWLINK, RTM_NEWNSID
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg

from suites.netlink_socket import messages
from suites.netlink_socket.netlink import RTNLGRP_LINK, Netlink, NetlinkError
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from testbed.backends.node import Node

pytestmark = three_in_a_row

NONE = 0xFFFFFFFF  # -1: this namespace has no number for the other one
NUMBER = 42


def nsid(number: int, **attributes: int) -> Any:
    """Build a namespace message; attributes without their NETNSA_ prefix."""
    named = {f"NETNSA_{name}": value for name, value in attributes.items()}
    return messages.message(nsidmsg, number, named, rtgen_family=socket.AF_UNSPEC)


def number_of(rtnl: Netlink, pid: int) -> int:
    """Ask for the number of the namespace that a process is in."""
    [frame] = rtnl.request(nsid(RTM_GETNSID, PID=pid))
    return int(frame.parsed().get_attr("NETNSA_NSID"))


def test_peer_namespace_gets_a_number(rtnl: Netlink, left: Node) -> None:
    """NEWNSID gives another node's namespace a number here; before it has none, and a second number is EEXIST."""
    resident = left.spawn(["sleep", "1000"])
    assert number_of(rtnl, resident.pid) == NONE
    rtnl.request(nsid(RTM_NEWNSID, NSID=NUMBER, PID=resident.pid))
    assert number_of(rtnl, resident.pid) == NUMBER
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(nsid(RTM_NEWNSID, NSID=NUMBER + 1, PID=resident.pid))
    assert caught.value.errno == errno.EEXIST
    resident.kill()


def test_numbers_are_dumped(rtnl: Netlink, left: Node, right: Node) -> None:
    """A GETNSID dump has the numbers that were given, each once."""
    residents = [node.spawn(["sleep", "1000"]) for node in (left, right)]
    for number, resident in enumerate(residents, NUMBER):
        rtnl.request(nsid(RTM_NEWNSID, NSID=number, PID=resident.pid))
    found = [entry.get_attr("NETNSA_NSID") for entry in rtnl.dump(nsid(RTM_GETNSID)).parsed()]
    assert {NUMBER, NUMBER + 1} <= set(found)
    assert len(set(found)) == len(found)
    for resident in residents:
        resident.kill()


def test_unknown_process_is_refused(rtnl: Netlink) -> None:
    """The namespace of a process that does not exist is ESRCH."""
    with pytest.raises(NetlinkError) as caught:
        number_of(rtnl, 0x3FFFFF)
    assert caught.value.errno == errno.ESRCH


def test_device_moves_to_another_node(rtnl: Netlink, middle: Node, left: Node) -> None:
    """IFLA_NET_NS_PID moves a device: its old node is told DELLINK, its new one NEWLINK and has it from then on."""
    resident = left.spawn(["sleep", "1000"])
    peer = {"attrs": [("VETH_INFO_PEER", {"attrs": [("IFLA_IFNAME", "v1")]})]}
    pair = messages.link(
        RTM_NEWLINK, IFNAME="v0", LINKINFO={"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", peer)]}
    )
    rtnl.request(pair, NLM_F_CREATE)
    with Netlink(middle, groups=[RTNLGRP_LINK]) as here, Netlink(left, groups=[RTNLGRP_LINK]) as there:
        rtnl.request(messages.link(RTM_NEWLINK, IFNAME="v0", NET_NS_PID=resident.pid))
        assert RTM_DELLINK in [frame.type for frame in here.pending()]
        assert RTM_NEWLINK in [frame.type for frame in there.pending()]
    assert "v0" in left.run(["ip", "-o", "link"]).stdout
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(messages.link(IFNAME="v0"))
    assert caught.value.errno == errno.ENODEV
    resident.kill()
