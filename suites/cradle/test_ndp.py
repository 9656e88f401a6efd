# SPDX-License-Identifier: MIT
"""Neighbour Discovery (RFC 4861) and duplicate address detection (RFC 4862), message by message."""

from __future__ import annotations

import ipaddress
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether

from suites.cradle.scenario import CLOSE_S, cable, flight_s, rings_after

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.network import Network

pytestmark = cable

ALL_NODES = "ff02::1"
NEW_MAC = "02:00:00:00:99:9a"


def solicitation(ghost: Ghost, target: str, *, source: str | None = None, hops: int = 255) -> Any:
    """Ask the solicited-node group of an address who has it (RFC 4291, section 2.7.1)."""
    low = ipaddress.IPv6Address(target).packed[-3:]
    group = f"ff02::1:ff{low[0]:02x}:{low[1] << 8 | low[2]:x}"
    link = Ether(src=ghost.mac, dst="33:33:ff:" + ":".join(f"{byte:02x}" for byte in low))
    asked = link / IPv6(src=source or ghost.addresses[6], dst=group, hlim=hops) / ICMPv6ND_NS(tgt=target)
    return asked if source == "::" else asked / ICMPv6NDOptSrcLLAddr(lladdr=ghost.mac)


def test_owner_answers_at_once(stranger: Ghost) -> None:
    """The advertisement is solicited and overrides, has the MAC address and hop limit 255, and takes two flights."""
    target = stranger.far.address(6)
    [answer] = stranger.ask(solicitation(stranger, target), at=1.0)
    said = answer[ICMPv6ND_NA]
    assert (said.tgt, said.S, said.O, said.R) == (target, 1, 1, 0)
    assert (answer[ICMPv6NDOptDstLLAddr].lladdr, answer[IPv6].hlim) == (stranger.far_mac, 255)
    [asked] = stranger.sent(ICMPv6ND_NS)
    assert asked.time == pytest.approx(1.0, abs=CLOSE_S)
    assert answer.time - asked.time == pytest.approx(flight_s(asked, answer), abs=1e-6)


def test_router_says_that_it_is_one(stranger: Ghost) -> None:
    """With forwarding on, the same advertisement has the router flag."""
    stranger.far.run(["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"])
    [answer] = stranger.ask(solicitation(stranger, stranger.far.address(6)))
    assert answer[ICMPv6ND_NA].R == 1


def test_duplicate_address_is_defended(network: Network, stranger: Ghost) -> None:
    """Who is without an address and wants the node's is told, with all nodes as witnesses, that it is taken."""
    target = stranger.far.address(6)
    assert stranger.ask(solicitation(stranger, target, source="::")) == []
    [told] = network.link("h1-h2").packets("h1", lambda frame: ICMPv6ND_NA in frame)
    assert (told[IPv6].dst, told[ICMPv6ND_NA].tgt, told[ICMPv6ND_NA].S) == (ALL_NODES, target, 0)


def test_nobody_answers_for_an_address_that_is_not_there(stranger: Ghost) -> None:
    """A solicitation for a free address stays without an answer, also where it comes to the node's own group."""
    target = stranger.far.address(6)
    asked = solicitation(stranger, target)
    asked[ICMPv6ND_NS].tgt = "fd00:1::77"
    assert stranger.ask(solicitation(stranger, "fd00:1::77")) == []
    assert stranger.ask(asked) == []
    [answer] = stranger.ask(solicitation(stranger, target))
    assert answer[ICMPv6ND_NA].tgt == target


def test_solicitation_from_beyond_the_link_is_ignored(stranger: Ghost) -> None:
    """A hop limit below 255 means that a router may have forwarded it (RFC 4861, section 7.1.1); 255 is answered."""
    target = stranger.far.address(6)
    assert stranger.ask(solicitation(stranger, target, hops=254)) == []
    [answer] = stranger.ask(solicitation(stranger, target, hops=255))
    assert answer[ICMPv6ND_NA].tgt == target


def test_advertisement_of_a_new_card_is_believed(stranger: Ghost) -> None:
    """After an unsolicited advertisement that overrides, answers go to the new MAC address."""
    [_] = stranger.ask(solicitation(stranger, stranger.far.address(6)))
    ping = stranger.ip(6) / ICMPv6EchoRequest(id=1)
    assert [frame.dst for frame in stranger.ask(ping)] == [stranger.mac]
    own = stranger.addresses[6]
    link = Ether(src=NEW_MAC, dst="33:33:00:00:00:01") / IPv6(src=own, dst=ALL_NODES, hlim=255)
    told = link / ICMPv6ND_NA(tgt=own, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=NEW_MAC)
    assert stranger.ask(told) == []
    stranger.mac = NEW_MAC
    assert [frame.dst for frame in stranger.ask(ping)] == [NEW_MAC]


def test_question_without_an_answer_is_asked_three_times(network: Network, stranger: Ghost) -> None:
    """The node asks three times, a second apart (RetransTimer), and then says that the address is unreachable."""
    said = stranger.far.run(["ping", "-c1", "-W10", stranger.addresses[6]], check=False)
    assert "Address unreachable" in said.stdout
    wanted = stranger.addresses[6]
    asked = [p.time for p in network.link("h1-h2").packets("h2") if ICMPv6ND_NS in p and p[ICMPv6ND_NS].tgt == wanted]
    assert len(asked) == 3
    assert all(rings_after(later - earlier, 1.0) for earlier, later in itertools.pairwise(asked))
