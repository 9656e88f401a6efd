# SPDX-License-Identifier: MIT
"""Generic netlink: families are found by name or number through the controller (net/netlink/genetlink.c)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest
from pyroute2.netlink import ctrlmsg

from suites.netlink_socket.messages import message
from suites.netlink_socket.netlink import NETLINK_EXT_ACK, NETLINK_GENERIC, Netlink, NetlinkError
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.backends.node import Node

pytestmark = three_in_a_row

GENL_ID_CTRL, CTRL_CMD_NEWFAMILY, CTRL_CMD_GETFAMILY, CTRL_CMD_GETPOLICY = 16, 1, 3, 10


@pytest.fixture
def genl(middle: Node) -> Iterator[Netlink]:
    """Give a NETLINK_GENERIC socket in the router."""
    with Netlink(middle, NETLINK_GENERIC) as opened:
        yield opened


def ask(command: int = CTRL_CMD_GETFAMILY, **attributes: Any) -> Any:
    """Build a request to the controller; attributes without their CTRL_ATTR_ prefix."""
    named = {f"CTRL_ATTR_{name}": value for name, value in attributes.items()}
    return message(ctrlmsg, GENL_ID_CTRL, named, cmd=command, version=1)


def test_controller_finds_itself_by_name(genl: Netlink) -> None:
    """GETFAMILY for nlctrl gives the fixed number 16, and the multicast group that tells of families."""
    [frame] = genl.request(ask(FAMILY_NAME="nlctrl"))
    found = frame.parsed(ctrlmsg)
    assert (found["cmd"], found.get_attr("CTRL_ATTR_FAMILY_ID")) == (CTRL_CMD_NEWFAMILY, GENL_ID_CTRL)
    groups = [group.get_attr("CTRL_ATTR_MCAST_GRP_NAME") for group in found.get_attr("CTRL_ATTR_MCAST_GROUPS")]
    assert groups == ["notify"]


def test_family_found_by_name_is_found_by_its_number(genl: Netlink) -> None:
    """The number that a name resolves to resolves back to the name."""
    [by_name] = genl.request(ask(FAMILY_NAME="mptcp_pm"))
    number = by_name.parsed(ctrlmsg).get_attr("CTRL_ATTR_FAMILY_ID")
    assert number > GENL_ID_CTRL
    [by_number] = genl.request(ask(FAMILY_ID=number))
    assert by_number.parsed(ctrlmsg).get_attr("CTRL_ATTR_FAMILY_NAME") == "mptcp_pm"
    assert by_number.payload == by_name.payload


def test_dump_lists_every_family_once(genl: Netlink) -> None:
    """A GETFAMILY dump has the controller, and no name or number twice."""
    found = genl.dump(ask()).parsed(ctrlmsg)
    names = [family.get_attr("CTRL_ATTR_FAMILY_NAME") for family in found]
    numbers = [family.get_attr("CTRL_ATTR_FAMILY_ID") for family in found]
    assert "nlctrl" in names
    assert len(set(names)) == len(names) == len(set(numbers))


def test_unknown_family_is_refused(genl: Netlink) -> None:
    """GETFAMILY for a name that nobody registered gives ENOENT."""
    with pytest.raises(NetlinkError) as caught:
        genl.request(ask(FAMILY_NAME="warpdrive"))
    assert caught.value.errno == errno.ENOENT


def test_name_longer_than_allowed_is_refused(genl: Netlink) -> None:
    """A name of more than GENL_NAMSIZ - 1 (15) characters breaks the controller's policy, and it says which rule."""
    genl.option(NETLINK_EXT_ACK)
    with pytest.raises(NetlinkError) as caught:
        genl.request(ask(FAMILY_NAME="a" * 16))
    assert caught.value.errno in {errno.EINVAL, errno.ERANGE}
    assert caught.value.ack.offset == 20


def test_request_without_name_or_number_is_refused(genl: Netlink) -> None:
    """GETFAMILY that names no family gives EINVAL."""
    with pytest.raises(NetlinkError) as caught:
        genl.request(ask())
    assert caught.value.errno == errno.EINVAL


def test_policy_of_the_controller_can_be_read(genl: Netlink) -> None:
    """GETPOLICY for nlctrl tells, in a dump, what its requests may contain."""
    dump = genl.dump(ask(CTRL_CMD_GETPOLICY, FAMILY_ID=GENL_ID_CTRL))
    assert dump.frames
    commands = {frame.payload[0] for frame in dump.frames}
    assert commands == {CTRL_CMD_GETPOLICY}


def test_unknown_command_is_refused(genl: Netlink) -> None:
    """A command that the family does not have gives EOPNOTSUPP."""
    with pytest.raises(NetlinkError) as caught:
        genl.request(ask(200))
    assert caught.value.errno == errno.EOPNOTSUPP
