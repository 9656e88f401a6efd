# SPDX-License-Identifier: MIT
"""The Address Resolution Protocol (RFC 826, RFC 5227), question and answer frame by frame."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP, Ether

from suites.cradle.scenario import CLOSE_S, cable, flight_s, rings_after

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.network import Network

pytestmark = cable

BROADCAST = "ff:ff:ff:ff:ff:ff"
REQUEST, REPLY = 1, 2
NEW_MAC = "02:00:00:00:99:9a"


def question(ghost: Ghost, target: str, sender: str | None = None) -> Ether:
    """Ask all on the cable who has an address."""
    asked = ARP(op=REQUEST, hwsrc=ghost.mac, psrc=sender or ghost.addresses[4], pdst=target)
    return Ether(src=ghost.mac, dst=BROADCAST) / asked


@pytest.mark.parametrize("sender", [None, "0.0.0.0"], ids=["request", "probe"])
def test_owner_answers_at_once(stranger: Ghost, sender: str | None) -> None:
    """The owner tells its MAC address to the one who asked, be it without an address yet, after two flights."""
    target = stranger.far.address()
    [answer] = stranger.ask(question(stranger, target, sender), at=1.0)
    said = answer[ARP]
    assert (said.op, said.hwsrc, said.psrc, said.hwdst) == (REPLY, stranger.far_mac, target, stranger.mac)
    [asked] = stranger.sent(ARP)
    assert asked.time == pytest.approx(1.0, abs=CLOSE_S)
    assert answer.time - asked.time == pytest.approx(flight_s(asked, answer), abs=1e-6)


def test_nobody_answers_for_an_address_that_is_not_there(stranger: Ghost) -> None:
    """A question for a free address of the subnet stays without an answer; the same question for the node's has one."""
    assert stranger.ask(question(stranger, "10.0.1.77")) == []
    [answer] = stranger.ask(question(stranger, stranger.far.address()))
    assert answer[ARP].psrc == stranger.far.address()


def test_announcement_of_a_new_card_is_believed(stranger: Ghost) -> None:
    """After a gratuitous ARP with another MAC address, answers go there."""
    [_] = stranger.ask(question(stranger, stranger.far.address()), wait=3.0)
    ping = stranger.ip(4) / ICMP(id=1)
    assert [frame.dst for frame in stranger.ask(ping)] == [stranger.mac]
    own = stranger.addresses[4]
    told = Ether(src=NEW_MAC, dst=BROADCAST) / ARP(op=REQUEST, hwsrc=NEW_MAC, psrc=own, pdst=own)
    assert stranger.ask(told) == []
    stranger.mac = NEW_MAC
    assert [frame.dst for frame in stranger.ask(ping)] == [NEW_MAC]


def test_question_without_an_answer_is_asked_three_times(network: Network, stranger: Ghost) -> None:
    """The node asks for an address three times, a second apart, and then says that the host is unreachable (arp(7))."""
    said = stranger.far.run(["ping", "-c1", "-W10", stranger.addresses[4]], check=False)
    assert "Destination Host Unreachable" in said.stdout
    asked = [p.time for p in network.link("h1-h2").packets("h2") if ARP in p and p[ARP].pdst == stranger.addresses[4]]
    assert len(asked) == 3
    assert all(rings_after(later - earlier, 1.0) for earlier, later in itertools.pairwise(asked))
