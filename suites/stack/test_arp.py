# SPDX-License-Identifier: MIT
"""The Address Resolution Protocol (RFC 826): answers, questions, retries, time-outs, and the static table."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import ICMP, UDP
from scapy.layers.l2 import ARP, Ether

from suites.common.queues import outcome
from suites.stack.scenario import SOON_S, WAIT_S, all_stacks, cable, gaps_s, own_stacks

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network

pytestmark = cable

RETRIES, TIMEOUT_S, TTL_S = 3, 2, 30
EVERYBODY = "ff:ff:ff:ff:ff:ff"


@pytest.fixture
def settings(request: pytest.FixtureRequest, ghost: Ghost) -> dict[str, object]:
    """Let nobody be known, unless a test asks for the static table."""
    known = {ghost.addresses[4]: ghost.mac} if hasattr(request, "param") else {}
    return {
        "arp_table": known,
        "arp_request_retries": RETRIES,
        "arp_request_timeout": TIMEOUT_S,
        "arp_cache_ttl": TTL_S,
    }


table = pytest.mark.parametrize("settings", ["table"], indirect=True)


def questions(network: Network) -> list[Any]:
    """Give the requests that h1 sent, of whatever part of it, as they arrived at h2."""
    return [p for p in network.link("h1-h2").packets("h2") if ARP in p and p[ARP].op == 1 and p.src != p[ARP].hwdst]


def asked_for(network: Network, ghost: Ghost) -> list[Any]:
    """Give the requests for the ghost."""
    return [p for p in questions(network) if p[ARP].pdst == ghost.addresses[4]]


def reply(ghost: Ghost, libos: LibOS, mac: str | None = None) -> Any:
    """Make the answer of the ghost, or of a liar who says that it has another address."""
    said = ARP(op=2, hwsrc=mac or ghost.mac, psrc=ghost.addresses[4], hwdst=ghost.far_mac, pdst=libos.address)
    return Ether(src=mac or ghost.mac, dst=ghost.far_mac) / said


def datagrams(network: Network) -> list[Any]:
    return network.link("h1-h2").packets("h2", lambda frame: UDP in frame)


@all_stacks
def test_it_answers_for_its_own_address_only(ghost: Ghost, libos: LibOS) -> None:
    request = Ether(src=ghost.mac, dst=EVERYBODY) / ARP(
        op=1, hwsrc=ghost.mac, psrc=ghost.addresses[4], pdst=libos.address
    )
    [answer] = ghost.ask(request, wait=WAIT_S)
    found = answer[ARP]
    assert (found.op, found.hwsrc, found.psrc) == (2, ghost.far_mac, libos.address)
    assert (answer.src, answer.dst, found.hwdst, found.pdst) == (
        ghost.far_mac,
        ghost.mac,
        ghost.mac,
        ghost.addresses[4],
    )
    other = Ether(src=ghost.mac, dst=EVERYBODY) / ARP(op=1, hwsrc=ghost.mac, psrc=ghost.addresses[4], pdst="10.0.1.7")
    assert ghost.ask(other, wait=WAIT_S) == []


@own_stacks
def test_what_waits_for_an_answer_goes_when_it_comes(network: Network, ghost: Ghost, libos: LibOS) -> None:
    queue = libos.socket(kind=socket.SOCK_DGRAM)
    for number in range(3):
        libos.wait(libos.pushto(queue, bytes([number]) * 32, (ghost.addresses[4], 9)), 1.0)
    network.sleep(0.5)
    assert (len(asked_for(network, ghost)), datagrams(network)) == (1, [])
    at_s = 1.25
    ghost.send(reply(ghost, libos), at_s)
    network.sleep_until(at_s + WAIT_S)
    sent = datagrams(network)
    assert [bytes(frame[UDP].payload)[:32] for frame in sent] == [bytes([number]) * 32 for number in range(3)]
    assert {frame.dst for frame in sent} == {ghost.mac}
    assert all(at_s + 0.002 <= frame.time < at_s + 0.002 + SOON_S for frame in sent)  # there and back: 1 ms each
    libos.wait(libos.pushto(queue, b"known", (ghost.addresses[4], 9)), 1.0)
    network.sleep(WAIT_S)
    assert (len(asked_for(network, ghost)), len(datagrams(network))) == (1, 4)


@own_stacks
def test_nobody_answers(network: Network, ghost: Ghost, libos: LibOS) -> None:
    """So often it asks again as it was told, so far apart, and then the host is unreachable."""
    start_s = network.now()
    connect = libos.connect(libos.socket(), (ghost.addresses[4], 80))
    assert outcome(lambda: libos.wait(connect, 60.0)) == "EHOSTUNREACH"
    assert network.now() - start_s == pytest.approx((1 + RETRIES) * TIMEOUT_S, abs=0.01)
    asked = asked_for(network, ghost)
    assert {frame.dst for frame in asked} == {EVERYBODY}
    assert gaps_s(asked) == pytest.approx([TIMEOUT_S] * RETRIES, abs=0.01)


@own_stacks
def test_a_late_answer_is_an_answer(network: Network, ghost: Ghost, libos: LibOS) -> None:
    connect = libos.connect(libos.socket(), (ghost.addresses[4], 80))
    ghost.send(reply(ghost, libos), network.now() + RETRIES * TIMEOUT_S + 1)
    assert outcome(lambda: libos.wait(connect, RETRIES * TIMEOUT_S + 1 + WAIT_S)) == "ETIMEDOUT"
    assert len(asked_for(network, ghost)) == 1 + RETRIES
    assert [str(frame["TCP"].flags) for frame in ghost.heard()][:1] == ["S"]


@own_stacks
def test_an_answer_is_forgotten_after_its_time(network: Network, ghost: Ghost, libos: LibOS) -> None:
    queue = libos.socket(kind=socket.SOCK_DGRAM)
    libos.wait(libos.pushto(queue, b"first", (ghost.addresses[4], 9)), 1.0)
    learnt_s = network.now() + 0.01
    ghost.send(reply(ghost, libos), learnt_s)
    for after_s, requests in ((TTL_S - 1, 1), (TTL_S + 1, 2)):
        network.sleep_until(learnt_s + after_s)
        libos.wait(libos.pushto(queue, b"more", (ghost.addresses[4], 9)), 1.0)
        network.sleep(WAIT_S)
        assert len(asked_for(network, ghost)) == requests
    assert len(datagrams(network)) == 2  # the third waits for an answer


@own_stacks
@table
def test_the_table_needs_no_question_and_believes_nobody_else(network: Network, ghost: Ghost, libos: LibOS) -> None:
    ghost.send(reply(ghost, libos, "02:00:00:00:66:66"))
    network.sleep(1.0 + TTL_S)
    queue = libos.socket(kind=socket.SOCK_DGRAM)
    libos.wait(libos.pushto(queue, b"x" * 32, (ghost.addresses[4], 9)), 1.0)
    network.sleep(WAIT_S)
    assert [frame.dst for frame in datagrams(network)] == [ghost.mac]
    assert asked_for(network, ghost) == []


@own_stacks
def test_who_asks_is_known(network: Network, ghost: Ghost, libos: LibOS) -> None:
    """A request for our address tells its sender's (RFC 826): an answer to a ping needs no question then."""
    request = Ether(src=ghost.mac, dst=EVERYBODY) / ARP(
        op=1, hwsrc=ghost.mac, psrc=ghost.addresses[4], pdst=libos.address
    )
    ghost.ask(request, wait=WAIT_S)
    [answer] = ghost.ask(ghost.ip(4) / ICMP() / (b"x" * 32), wait=WAIT_S)
    assert (answer[ICMP].type, asked_for(network, ghost)) == (0, [])


@own_stacks
@pytest.mark.parametrize("mac", [EVERYBODY, "01:00:5e:00:00:01"], ids=["broadcast", "multicast"])
def test_an_answer_with_the_address_of_a_group_is_none(network: Network, ghost: Ghost, libos: LibOS, mac: str) -> None:
    connect = libos.connect(libos.socket(), (ghost.addresses[4], 80))
    bad = Ether(src=ghost.mac, dst=ghost.far_mac) / ARP(
        op=2, hwsrc=mac, psrc=ghost.addresses[4], hwdst=ghost.far_mac, pdst=libos.address
    )
    ghost.send(bad, network.now() + 0.1)
    assert outcome(lambda: libos.wait(connect, 60.0)) == "EHOSTUNREACH"
