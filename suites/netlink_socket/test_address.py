# SPDX-License-Identifier: MIT
"""Addresses: RTM_NEWADDR and RTM_DELADDR (rtnetlink(7))."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_NEWADDR

from suites.netlink_socket import messages
from suites.netlink_socket.messages import Family, both_families
from suites.netlink_socket.netlink import Netlink, NetlinkError
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from testbed.backends.node import Node

pytestmark = three_in_a_row


@both_families
def test_address_is_added_and_deleted_and_the_dump_is_the_first_again(rtnl: Netlink, eth0: int, family: Family) -> None:
    """NEWADDR puts one address on the interface, DELADDR takes it away; both are acknowledged."""
    before = rtnl.dump(messages.address(family)).payloads()
    rtnl.request(messages.address(family, RTM_NEWADDR, index=eth0, ip=family.spare), NLM_F_CREATE | NLM_F_EXCL)
    [added] = [frame for frame in rtnl.dump(messages.address(family)).frames if frame.payload not in before]
    entry = added.parsed()
    assert (entry.get_attr("IFA_ADDRESS"), entry["index"], entry["prefixlen"]) == (
        family.spare,
        eth0,
        family.address_length,
    )
    rtnl.request(messages.address(family, RTM_DELADDR, index=eth0, ip=family.spare))
    assert rtnl.dump(messages.address(family)).payloads() == before


@both_families
def test_added_address_answers_at_once(rtnl: Netlink, left: Node, middle: Node, eth0: int, family: Family) -> None:
    """A neighbour can ping an address as soon as NEWADDR is acknowledged, and no more after DELADDR."""
    rtnl.request(messages.address(family, RTM_NEWADDR, index=eth0, ip=family.spare), NLM_F_CREATE)
    left.run(["ip", "route", "add", f"{family.spare}/{family.address_length}", "via", middle.address(family.version)])
    assert "1 received" in left.run(["ping", "-c1", "-W1", family.spare]).stdout
    rtnl.request(messages.address(family, RTM_DELADDR, index=eth0, ip=family.spare))
    assert "0 received" in left.run(["ping", "-c1", "-W1", family.spare], check=False).stdout


@both_families
def test_same_address_twice_is_refused(rtnl: Netlink, eth0: int, family: Family) -> None:
    """NEWADDR with NLM_F_EXCL on an address that is there gives EEXIST."""
    request = messages.address(family, RTM_NEWADDR, index=eth0, ip=family.spare)
    rtnl.request(request, NLM_F_CREATE | NLM_F_EXCL)
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(request, NLM_F_CREATE | NLM_F_EXCL)
    assert caught.value.errno == errno.EEXIST


@both_families
def test_deleting_a_missing_address_is_refused(rtnl: Netlink, eth0: int, family: Family) -> None:
    """DELADDR of an address that is not there gives EADDRNOTAVAIL."""
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(messages.address(family, RTM_DELADDR, index=eth0, ip=family.spare))
    assert caught.value.errno == errno.EADDRNOTAVAIL
