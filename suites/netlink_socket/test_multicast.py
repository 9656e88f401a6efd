# SPDX-License-Identifier: MIT
"""Notifications to multicast groups: who hears what, and exactly when (netlink(7), rtnetlink(7))."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from pyroute2.netlink import NLM_F_CREATE
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELNEIGH,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
    RTM_NEWRULE,
)

from suites.common.kernel import since
from suites.netlink_socket import messages
from suites.netlink_socket.messages import Family, both_families
from suites.netlink_socket.netlink import (
    NETLINK_DROP_MEMBERSHIP,
    NETLINK_LIST_MEMBERSHIPS,
    NETLINK_NO_ENOBUFS,
    RTNLGRP_LINK,
    RTNLGRP_NEIGH,
    SOL_NETLINK,
    Netlink,
)
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from testbed.backends.network import Network
    from testbed.backends.node import Node

pytestmark = three_in_a_row

# A system call costs 1 us of virtual time and nothing else does: an event is seen within this of its cause.
PROMPTLY_S = 50e-6


@both_families
def test_route_events_are_seen_at_four_and_eight_seconds(
    network: Network, rtnl: Netlink, middle: Node, eth0: int, family: Family
) -> None:
    """A member of the route group sees NEWROUTE at t = 4 s and DELROUTE at t = 8 s, and nothing else."""
    tolerance_s = PROMPTLY_S if network.backend == "timetravel" else 0.5
    with Netlink(middle, groups=[family.route_group]) as monitor:
        for at_s, number, flags in ((4.0, RTM_NEWROUTE, NLM_F_CREATE), (8.0, RTM_DELROUTE, 0)):
            network.sleep_until(at_s)
            rtnl.request(messages.route(family, number, dst=family.prefix, OIF=eth0), flags)
            [event] = monitor.receive()
            assert (event.type, event.parsed().get_attr("RTA_DST")) == (number, family.prefix)
            assert network.now() == pytest.approx(at_s, abs=tolerance_s)


@both_families
def test_monitor_program_prints_both_events_four_seconds_apart(
    network: Network, rtnl: Netlink, middle: Node, eth0: int, family: Family
) -> None:
    """An unmodified ``ip -ts monitor route`` in the node prints the two events with times exactly 4 s apart."""
    monitor = middle.spawn(["ip", f"-{family.version}", "-ts", "-o", "monitor", "route"])
    for at_s, number, flags in ((4.0, RTM_NEWROUTE, NLM_F_CREATE), (8.0, RTM_DELROUTE, 0)):
        network.sleep_until(at_s)
        rtnl.request(messages.route(family, number, dst=family.prefix, OIF=eth0), flags)
    network.sleep_until(9.0)
    monitor.kill()
    lines = monitor.wait().stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].split("]", 1)[1].lstrip().startswith("Deleted")
    assert all(family.prefix in line for line in lines)
    seconds = [float(line.split("]")[0].rsplit(":", 1)[1]) for line in lines]
    tolerance_s = PROMPTLY_S if network.backend == "timetravel" else 0.5
    assert (seconds[1] - seconds[0]) % 60 == pytest.approx(4.0, abs=tolerance_s)


@both_families
def test_address_events_reach_the_address_group(rtnl: Netlink, middle: Node, eth0: int, family: Family) -> None:
    """NEWADDR and DELADDR are told to the family's address group, with the address."""
    with Netlink(middle, groups=[family.address_group]) as monitor:
        for number, flags in ((RTM_NEWADDR, NLM_F_CREATE), (RTM_DELADDR, 0)):
            rtnl.request(messages.address(family, number, index=eth0, ip=family.spare), flags)
            [event] = monitor.receive()
            assert (event.type, event.parsed().get_attr("IFA_ADDRESS")) == (number, family.spare)


@both_families
def test_neighbour_events_reach_the_neighbour_group(rtnl: Netlink, middle: Node, eth0: int, family: Family) -> None:
    """NEWNEIGH is told with the new state; DELNEIGH is told as the entry's last state, then as its end."""
    mac = "02:00:00:12:34:56"
    with Netlink(middle, groups=[RTNLGRP_NEIGH]) as monitor:
        rtnl.request(messages.neighbour(family, RTM_NEWNEIGH, index=eth0, ip=family.spare, mac=mac), NLM_F_CREATE)
        rtnl.request(messages.neighbour(family, RTM_DELNEIGH, index=eth0, ip=family.spare))
        events = [monitor.receive()[0] for _ in range(3)]
    assert [event.type for event in events] == [RTM_NEWNEIGH, RTM_NEWNEIGH, RTM_DELNEIGH]
    assert {event.parsed().get_attr("NDA_DST") for event in events} == {family.spare}


@both_families
def test_rule_events_reach_the_rule_group(rtnl: Netlink, middle: Node, family: Family) -> None:
    """NEWRULE and DELRULE are told to the family's rule group."""
    with Netlink(middle, groups=[family.rule_group]) as monitor:
        for number in (RTM_NEWRULE, RTM_DELRULE):
            rtnl.request(messages.rule(family, number, table=1000, priority=700), NLM_F_CREATE)
            [event] = monitor.receive()
            assert (event.type, event.parsed().get_attr("FRA_PRIORITY")) == (number, 700)


def test_link_events_tell_the_life_of_a_device(rtnl: Netlink, middle: Node) -> None:
    """The link group hears of a device's birth and death, by name."""
    with Netlink(middle, groups=[RTNLGRP_LINK]) as monitor:
        bridge = messages.link(RTM_NEWLINK, IFNAME="b0", LINKINFO={"attrs": [("IFLA_INFO_KIND", "bridge")]})
        rtnl.request(bridge, NLM_F_CREATE)
        rtnl.request(messages.link(RTM_DELLINK, IFNAME="b0"))
        types = []
        while RTM_DELLINK not in types:
            for event in monitor.receive():
                assert event.parsed().get_attr("IFLA_IFNAME") == "b0"
                types.append(event.type)
    assert types == [RTM_NEWLINK, RTM_DELLINK]


def test_carrier_loss_is_told_at_both_ends(network: Network, left: Node, middle: Node) -> None:
    """A cut link takes the carrier of both nodes' interfaces: each link group hears of operstate DOWN."""
    since(network, (6, 12), "tells LOWERLAYERDOWN first")
    with Netlink(left, groups=[RTNLGRP_LINK]) as one, Netlink(middle, groups=[RTNLGRP_LINK]) as two:
        network.link("h1-r1").cut()
        for monitor in (one, two):
            event = monitor.receive()[0].parsed()
            assert (event.get_attr("IFLA_IFNAME"), event.get_attr("IFLA_OPERSTATE")) == ("eth0", "DOWN")


@both_families
def test_other_nodes_hear_nothing(rtnl: Netlink, left: Node, eth0: int, family: Family) -> None:
    """Notifications stay in the network namespace of the change."""
    with Netlink(left, groups=[family.route_group]) as elsewhere:
        rtnl.request(messages.route(family, RTM_NEWROUTE, dst=family.prefix, OIF=eth0), NLM_F_CREATE)
        assert elsewhere.pending() == []


def test_dropped_membership_is_silent_and_not_listed(rtnl: Netlink, middle: Node, eth0: int) -> None:
    """After NETLINK_DROP_MEMBERSHIP a socket hears no more, and the group's bit is gone from the list."""

    def groups(monitor: Netlink) -> int:
        raw = monitor.socket.getsockopt(SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, 8)
        assert isinstance(raw, bytes)
        return int(struct.unpack_from("=I", raw)[0])

    with Netlink(middle, groups=[messages.IPV4.route_group, RTNLGRP_LINK]) as monitor:
        assert groups(monitor) == 1 << (messages.IPV4.route_group - 1) | 1 << (RTNLGRP_LINK - 1)
        monitor.option(NETLINK_DROP_MEMBERSHIP, messages.IPV4.route_group)
        assert groups(monitor) == 1 << (RTNLGRP_LINK - 1)
        rtnl.request(messages.route(messages.IPV4, RTM_NEWROUTE, dst="198.51.100.0", OIF=eth0), NLM_F_CREATE)
        assert monitor.pending() == []


@pytest.mark.parametrize("told", [True, False], ids=["enobufs", "no-enobufs"])
def test_overrun_of_a_slow_listener_is_told_once(rtnl: Netlink, middle: Node, eth0: int, *, told: bool) -> None:
    """More events than the buffer holds: recv() gives ENOBUFS once, unless NETLINK_NO_ENOBUFS is set; then the rest."""
    family = messages.IPV4
    with Netlink(middle, groups=[family.address_group]) as monitor:
        monitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, struct.pack("=i", 4096))
        if not told:
            monitor.option(NETLINK_NO_ENOBUFS)
        wanted = [family.host(number) for number in range(1, 101)]
        rtnl.send(*(messages.address(family, RTM_NEWADDR, index=eth0, ip=ip) for ip in wanted), flags=NLM_F_CREATE)
        if told:
            with pytest.raises(OSError, match="No buffer space available") as caught:
                monitor.receive()
            assert caught.value.errno == errno.ENOBUFS
        seen = monitor.pending()
    assert 0 < len(seen) < len(wanted)
