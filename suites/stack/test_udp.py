# SPDX-License-Identifier: MIT
"""UDP (RFC 768): checksums, lengths, ports that nobody has, and sockets that are connected."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP, UDPerror
from scapy.packet import Raw

from suites.common.queues import outcome, pattern
from suites.stack.scenario import SOON_S, WAIT_S, all_stacks, cable

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network

pytestmark = [cable, all_stacks]

PORT = 5000


@pytest.fixture
def queue(libos: LibOS) -> int:
    """Give a datagram socket at port 5000."""
    made = libos.socket(kind=socket.SOCK_DGRAM)
    libos.bind(made, (libos.address, PORT))
    return made


@pytest.mark.parametrize("size", [1, 64, 1472])
def test_a_datagram_comes_with_its_sender(ghost: Ghost, libos: LibOS, queue: int, size: int) -> None:
    ghost.send(ghost.ip(4) / UDP(sport=9, dport=PORT) / Raw(pattern(size)))
    done = libos.wait(libos.pop(queue), 1.0)
    assert (done.data, done.address) == (pattern(size), (ghost.addresses[4], 9))


def test_an_answer_goes_back_at_once(network: Network, ghost: Ghost, libos: LibOS, queue: int) -> None:
    pop = libos.pop(queue)
    at_s = network.now() + 0.5
    ghost.send(ghost.ip(4) / UDP(sport=9, dport=PORT) / Raw(b"question"), at_s)
    done = libos.wait(pop, 1.0)
    assert at_s + 0.001 <= network.now() < at_s + 0.001 + SOON_S
    libos.wait(libos.pushto(queue, b"the answer of the stack", done.address), 1.0)
    network.sleep(WAIT_S)
    [answer] = ghost.heard(UDP)
    assert (answer[UDP].sport, answer[UDP].dport, bytes(answer[UDP].payload)) == (PORT, 9, b"the answer of the stack")


@pytest.mark.parametrize(
    "fields", [{"chksum": 0x1234}, {"len": 100}, {"len": 4}], ids=["checksum", "too long", "shorter than the header"]
)
def test_a_bad_datagram_is_dropped(ghost: Ghost, libos: LibOS, queue: int, fields: dict[str, Any]) -> None:
    pop = libos.pop(queue)
    assert ghost.ask(ghost.ip(4) / UDP(sport=9, dport=PORT, **fields) / Raw(b"bad"), wait=WAIT_S) == []
    assert outcome(lambda: libos.wait(pop, 0.5)) == "ETIMEDOUT"
    ghost.send(ghost.ip(4) / UDP(sport=9, dport=PORT) / Raw(b"good"))
    assert libos.wait(pop, 1.0).data == b"good"


def test_no_checksum_is_no_fault(ghost: Ghost, libos: LibOS, queue: int) -> None:
    ghost.send(ghost.ip(4) / UDP(sport=9, dport=PORT, chksum=0) / Raw(b"unsure"))
    assert libos.wait(libos.pop(queue), 1.0).data == b"unsure"


def test_a_port_that_nobody_has_is_unreachable(ghost: Ghost, libos: LibOS) -> None:
    [answer] = ghost.ask(ghost.ip(4) / UDP(sport=9, dport=PORT) / Raw(b"anybody?"), wait=WAIT_S)
    assert (answer[ICMP].type, answer[ICMP].code, answer[IP].src) == (3, 3, libos.address)
    assert (answer[UDPerror].sport, answer[UDPerror].dport) == (9, PORT)


def test_a_connected_socket_hears_its_peer_only(ghost: Ghost, libos: LibOS, queue: int) -> None:
    libos.wait(libos.connect(queue, (ghost.addresses[4], 9)), 1.0)
    pop = libos.pop(queue)
    for sport in (8, 10, 9):
        ghost.send(ghost.ip(4) / UDP(sport=sport, dport=PORT) / Raw(b"from %d" % sport))
    assert libos.wait(pop, 1.0).data == b"from 9"


def test_a_connected_socket_is_told_that_nobody_is_there(ghost: Ghost, libos: LibOS, queue: int) -> None:
    libos.wait(libos.connect(queue, (ghost.addresses[4], 9)), 1.0)
    libos.wait(libos.push(queue, b"anybody there in this place?"), 1.0)
    [sent] = ghost.ask(wait=WAIT_S)
    pop = libos.pop(queue)
    ghost.send(ghost.ip(4) / ICMP(type=3, code=3) / sent[IP])
    assert outcome(lambda: libos.wait(pop, 1.0)) == "ECONNREFUSED"
    libos.wait(libos.push(queue, b"once only"), 1.0)
