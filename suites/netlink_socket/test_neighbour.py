# SPDX-License-Identifier: MIT
"""Neighbour entries: RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH (rtnetlink(7), RFC 826, RFC 4861)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELNEIGH, RTM_NEWNEIGH
from scapy.layers.l2 import Ether

from suites.netlink_socket import messages
from suites.netlink_socket.messages import NUD_PERMANENT, Family, both_families
from suites.netlink_socket.netlink import Netlink, NetlinkError
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from testbed.backends.network import Network
    from testbed.backends.node import Node

pytestmark = three_in_a_row

MAC = "02:00:00:12:34:56"
NUD_RESOLVED = 0x02 | 0x10 | 0x08 | 0x04  # reachable, probe, delay or stale


def entry_of(rtnl: Netlink, family: Family, ip: str) -> tuple[int, str] | None:
    """Give state and MAC of the entry for an address, or None."""
    found = [entry for entry in rtnl.dump(messages.neighbour(family)).parsed() if entry.get_attr("NDA_DST") == ip]
    return (found[0]["state"], found[0].get_attr("NDA_LLADDR")) if found else None


@both_families
def test_permanent_entry_is_added_and_deleted(rtnl: Netlink, eth0: int, family: Family) -> None:
    """NEWNEIGH with NUD_PERMANENT is in the dump as given, DELNEIGH takes it out; both are acknowledged."""
    rtnl.request(messages.neighbour(family, RTM_NEWNEIGH, index=eth0, ip=family.spare, mac=MAC), NLM_F_CREATE)
    assert entry_of(rtnl, family, family.spare) == (NUD_PERMANENT, MAC)
    rtnl.request(messages.neighbour(family, RTM_DELNEIGH, index=eth0, ip=family.spare))
    assert entry_of(rtnl, family, family.spare) is None


@both_families
def test_permanent_entry_is_used_without_asking(
    network: Network, rtnl: Netlink, left: Node, eth0: int, family: Family
) -> None:
    """A frame to an address with a permanent entry goes to the entry's MAC, and nobody is asked who has it."""
    target = left.address(family.version)
    rtnl.request(messages.neighbour(family, RTM_NEWNEIGH, index=eth0, ip=target, mac=MAC), NLM_F_CREATE)
    network["r1"].run(["ping", "-c1", "-W1", target], check=False)
    sent = [packet[Ether] for packet in network.link("h1-r1").packets("r1") if packet[Ether].src.endswith(":01")]
    echoes = [frame for frame in sent if frame.dst == MAC]
    assert len(echoes) == 1
    assert not [frame for frame in sent if frame.dst == "ff:ff:ff:ff:ff:ff" or frame.dst.startswith("33:33:ff")]


@both_families
def test_traffic_leaves_an_entry_with_the_peers_address(
    rtnl: Netlink, left: Node, middle: Node, family: Family
) -> None:
    """After one ping the dump has an entry for the peer, resolved to the MAC of the peer's interface."""
    target = left.address(family.version)
    middle.run(["ping", "-c1", "-W1", target])
    with Netlink(left) as far:
        [frame] = far.request(messages.link(IFNAME="eth0"))
    found = entry_of(rtnl, family, target)
    assert found is not None
    state, mac = found
    assert state & NUD_RESOLVED
    assert mac == frame.parsed().get_attr("IFLA_ADDRESS")


@both_families
def test_same_entry_with_excl_is_refused(rtnl: Netlink, eth0: int, family: Family) -> None:
    """NEWNEIGH with NLM_F_EXCL on an entry that is there gives EEXIST."""
    request = messages.neighbour(family, RTM_NEWNEIGH, index=eth0, ip=family.spare, mac=MAC)
    rtnl.request(request, NLM_F_CREATE | NLM_F_EXCL)
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(request, NLM_F_CREATE | NLM_F_EXCL)
    assert caught.value.errno == errno.EEXIST


@both_families
@pytest.mark.parametrize("number", [RTM_NEWNEIGH, RTM_DELNEIGH], ids=["replace", "delete"])
def test_missing_entry_is_refused(rtnl: Netlink, eth0: int, family: Family, number: int) -> None:
    """Changing (without NLM_F_CREATE) or deleting an entry that is not there gives ENOENT."""
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(messages.neighbour(family, number, index=eth0, ip=family.spare, mac=MAC))
    assert caught.value.errno == errno.ENOENT
