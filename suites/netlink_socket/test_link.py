# SPDX-License-Identifier: MIT
"""Links: RTM_NEWLINK and RTM_DELLINK of virtual devices, and changes to a device (rtnetlink(7), ip-link(8))."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_NEWLINK

from suites.netlink_socket import messages
from suites.netlink_socket.messages import IFF_UP
from suites.netlink_socket.netlink import NETLINK_EXT_ACK, Netlink, NetlinkError
from suites.netlink_socket.scenario import three_in_a_row

pytestmark = three_in_a_row


def new(name: str, kind: str, data: Any = None, **attributes: int) -> Any:
    """Build the message that makes a virtual device."""
    info: list[tuple[str, Any]] = [("IFLA_INFO_KIND", kind)]
    if data is not None:
        info.append(("IFLA_INFO_DATA", data))
    return messages.link(RTM_NEWLINK, IFNAME=name, LINKINFO={"attrs": info}, **attributes)


def create(rtnl: Netlink, name: str, kind: str, data: Any = None, **attributes: int) -> int:
    """Make a virtual device and give its index; skip the case where the kernel has no such devices."""
    try:
        rtnl.request(new(name, kind, data, **attributes), NLM_F_CREATE | NLM_F_EXCL)
    except NetlinkError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip(f"this kernel has no {kind} devices")
        raise
    return int(get(rtnl, name)["index"])


def get(rtnl: Netlink, name: str) -> Any:
    """Fetch one device by name."""
    [frame] = rtnl.request(messages.link(IFNAME=name))
    return frame.parsed()


def names(rtnl: Netlink) -> set[str]:
    """Give the names of all devices of the node."""
    return {entry.get_attr("IFLA_IFNAME") for entry in rtnl.dump(messages.link()).parsed()}


@pytest.mark.parametrize("kind", ["dummy", "bridge"])
def test_device_is_made_and_deleted(rtnl: Netlink, kind: str) -> None:
    """NEWLINK with IFLA_INFO_KIND makes a device of that kind, DELLINK removes it."""
    index = create(rtnl, "t0", kind)
    assert get(rtnl, "t0").get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == kind
    rtnl.request(messages.link(RTM_DELLINK, index=index))
    with pytest.raises(NetlinkError) as caught:
        get(rtnl, "t0")
    assert caught.value.errno == errno.ENODEV


def test_vlan_device_knows_its_parent_and_number(rtnl: Netlink, eth0: int) -> None:
    """A VLAN is made on top of another device (IFLA_LINK) with its own attributes (IFLA_INFO_DATA)."""
    create(rtnl, "t0", "vlan", {"attrs": [("IFLA_VLAN_ID", 7)]}, LINK=eth0)
    found = get(rtnl, "t0")
    assert found.get_attr("IFLA_LINK") == eth0
    assert found.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_VLAN_ID") == 7


def test_veth_comes_and_goes_as_a_pair(rtnl: Netlink) -> None:
    """A veth is made with its peer in one request, and deleting one end deletes the other."""
    before = names(rtnl)
    create(rtnl, "v0", "veth", {"attrs": [("VETH_INFO_PEER", {"attrs": [("IFLA_IFNAME", "v1")]})]})
    assert names(rtnl) - before == {"v0", "v1"}
    assert get(rtnl, "v0").get_attr("IFLA_LINK") == get(rtnl, "v1")["index"]
    rtnl.request(messages.link(RTM_DELLINK, IFNAME="v1"))
    assert names(rtnl) == before


def test_device_joins_and_leaves_a_bridge(rtnl: Netlink) -> None:
    """IFLA_MASTER enslaves a device, 0 frees it again."""
    bridge, port = create(rtnl, "b0", "bridge"), create(rtnl, "d0", "dummy")
    rtnl.request(messages.link(RTM_NEWLINK, index=port, MASTER=bridge))
    assert get(rtnl, "d0").get_attr("IFLA_MASTER") == bridge
    rtnl.request(messages.link(RTM_NEWLINK, index=port, MASTER=0))
    assert get(rtnl, "d0").get_attr("IFLA_MASTER") is None


def test_device_goes_up_and_down(rtnl: Netlink) -> None:
    """IFF_UP in the flags, with the same bit in the change mask, sets the device's state."""
    index = create(rtnl, "d0", "dummy")
    states = []
    for flags in (IFF_UP, 0):
        rtnl.request(messages.link(RTM_NEWLINK, index=index, flags=flags, change=IFF_UP))
        states.append((get(rtnl, "d0")["flags"] & IFF_UP, get(rtnl, "d0").get_attr("IFLA_OPERSTATE")))
    assert states == [(IFF_UP, "UNKNOWN"), (0, "DOWN")]


def test_device_is_renamed_and_its_old_name_is_free(rtnl: Netlink) -> None:
    """IFLA_IFNAME on an index renames: the new name is found, the old one gives ENODEV."""
    index = create(rtnl, "d0", "dummy")
    rtnl.request(messages.link(RTM_NEWLINK, index=index, IFNAME="d1"))
    assert get(rtnl, "d1")["index"] == index
    with pytest.raises(NetlinkError) as caught:
        get(rtnl, "d0")
    assert caught.value.errno == errno.ENODEV


def test_mtu_and_hardware_address_are_set_in_one_request(rtnl: Netlink) -> None:
    """Several attributes of one NEWLINK are all applied."""
    index = create(rtnl, "d0", "dummy")
    rtnl.request(messages.link(RTM_NEWLINK, index=index, MTU=1280, ADDRESS="02:00:00:aa:bb:cc", TXQLEN=42))
    found = get(rtnl, "d0")
    wanted = {"IFLA_MTU": 1280, "IFLA_ADDRESS": "02:00:00:aa:bb:cc", "IFLA_TXQLEN": 42}
    assert {name: found.get_attr(name) for name in wanted} == wanted


def test_second_device_of_the_same_name_is_refused(rtnl: Netlink) -> None:
    """NLM_F_EXCL on a name that is taken gives EEXIST."""
    create(rtnl, "d0", "dummy")
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(new("d0", "dummy"), NLM_F_CREATE | NLM_F_EXCL)
    assert caught.value.errno == errno.EEXIST


def test_unknown_kind_is_refused_by_name(rtnl: Netlink) -> None:
    """A kind of device that the kernel lacks gives EOPNOTSUPP and says so."""
    rtnl.option(NETLINK_EXT_ACK)
    with pytest.raises(NetlinkError, match="Unknown device type") as caught:
        rtnl.request(new("x0", "warpdrive"), NLM_F_CREATE | NLM_F_EXCL)
    assert caught.value.errno == errno.EOPNOTSUPP


def test_real_device_of_a_node_has_the_link_ends_address(rtnl: Netlink) -> None:
    """The node's own interface is a veth with the MAC address that the topology derives: 02:00:00:00:LL:LE."""
    found = get(rtnl, "eth0")
    assert found.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "veth"
    assert found.get_attr("IFLA_ADDRESS").startswith("02:00:00:00:")
