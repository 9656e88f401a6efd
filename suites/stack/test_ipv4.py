# SPDX-License-Identifier: MIT
"""IPv4 (RFC 791): bad headers, options, and fragments in any order."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP, IPOption_RR, fragment
from scapy.packet import Raw

from suites.common.queues import outcome, pattern
from suites.stack.scenario import WAIT_S, all_stacks, cable

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network

pytestmark = [cable, all_stacks]

PORT = 5000
SHORT, LONG = 1200, 3000


@pytest.fixture
def queue(libos: LibOS) -> int:
    """Give a datagram socket at port 5000."""
    made = libos.socket(kind=socket.SOCK_DGRAM)
    libos.bind(made, (libos.address, PORT))
    return made


def datagram(ghost: Ghost, data: bytes, **fields: Any) -> Any:
    header = ghost.ip(4, to=fields.pop("to", None))
    for name, value in fields.items():
        setattr(header, name, value)
    return header / UDP(sport=9, dport=PORT) / Raw(data)


def popped(libos: LibOS, queue: int) -> bytes:
    return libos.wait(libos.pop(queue), 1.0).data


def nothing_comes(libos: LibOS, queue: int) -> None:
    """The next datagram of the test's is the first one that is popped."""
    assert outcome(lambda: libos.wait(libos.pop(queue), 0.5)) == "ETIMEDOUT"


def test_echo_is_answered(ghost: Ghost, libos: LibOS) -> None:
    data = pattern(1000)
    [answer] = ghost.ask(ghost.ip(4) / ICMP(id=7, seq=3) / Raw(data), wait=WAIT_S)
    assert (answer[ICMP].type, answer[ICMP].id, answer[ICMP].seq) == (0, 7, 3)
    assert (bytes(answer[ICMP].payload), answer[IP].src) == (data, libos.address)


@pytest.mark.parametrize(
    "fields",
    [
        {"chksum": 0x1234},
        {"version": 5},
        {"ihl": 4},
        {"len": 2000},
        {"len": 10},
        {"to": "10.0.1.7"},
        {"proto": 17, "frag": 8},
    ],
    ids=[
        "checksum",
        "version",
        "header too short",
        "longer than the frame",
        "shorter than the header",
        "for another",
        "no begin",
    ],
)
def test_a_bad_header_is_dropped(ghost: Ghost, libos: LibOS, queue: int, fields: dict[str, Any]) -> None:
    assert ghost.ask(datagram(ghost, b"bad", **fields), wait=WAIT_S) == []
    nothing_comes(libos, queue)
    assert outcome(lambda: libos.close(queue)) == "done"


@pytest.mark.parametrize(
    "options", [[IPOption_NOP()] * 4, [IPOption_RR(routers=["0.0.0.0"] * 3)]], ids=["padding", "record route"]
)
def test_options_do_no_harm(ghost: Ghost, libos: LibOS, queue: int, options: list[Any]) -> None:
    ghost.send(datagram(ghost, b"with options", options=options))
    assert popped(libos, queue) == b"with options"


@pytest.mark.parametrize("size", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("order", ["in order", "reversed", "twice", "interleaved"])
def test_fragments_are_put_together(ghost: Ghost, libos: LibOS, queue: int, *, size: int, order: str) -> None:
    """Also of a datagram that is longer than the link's MTU."""
    data = pattern(size)
    pieces = fragment(datagram(ghost, data, id=7), fragsize=size // 3)
    assert len(pieces) == 4
    other = fragment(datagram(ghost, data[::-1], id=8), fragsize=size // 3)
    sent = {
        "in order": pieces,
        "reversed": pieces[::-1],
        "twice": [piece for piece in pieces[:-1] for _ in range(2)] + pieces[-1:],
        "interleaved": [piece for pair in zip(pieces, other, strict=True) for piece in pair],
    }[order]
    for piece in sent:
        ghost.send(piece)
    assert popped(libos, queue) == data
    if order == "interleaved":
        assert popped(libos, queue) == data[::-1]


def test_what_lacks_a_fragment_never_comes(ghost: Ghost, libos: LibOS, network: Network, queue: int) -> None:
    """Not even when the fragment comes after the time for it (RFC 1122, 3.3.2: 60 to 120 s; Linux: 30 s)."""
    pieces = fragment(datagram(ghost, pattern(LONG), id=7), fragsize=1000)
    for piece in (*pieces[:1], *pieces[2:]):
        ghost.send(piece)
    network.sleep(121.0)
    ghost.send(pieces[1])
    pop = libos.pop(queue)
    assert outcome(lambda: libos.wait(pop, 1.0)) == "ETIMEDOUT"
    ghost.send(datagram(ghost, b"whole"))
    assert libos.wait(pop, 1.0).data == b"whole"


def test_what_is_too_long_goes_in_fragments(ghost: Ghost, libos: LibOS, network: Network) -> None:
    queue = libos.socket(kind=socket.SOCK_DGRAM)
    data = pattern(4000)
    libos.wait(libos.pushto(queue, data, (ghost.addresses[4], 9)), 1.0)
    network.sleep(WAIT_S)
    pieces = ghost.heard(IP)
    assert len({piece[IP].id for piece in pieces}) == 1
    assert [int(piece[IP].flags.MF) for piece in pieces] == [1, 1, 0]
    assert all(piece[IP].len <= 1500 for piece in pieces)
    body = b"".join(bytes(piece[IP].payload) for piece in sorted(pieces, key=lambda piece: piece[IP].frag))
    assert body[8:] == data


def test_an_unknown_protocol_is_unreachable(ghost: Ghost, libos: LibOS) -> None:
    [answer] = ghost.ask(ghost.ip(4, proto=253) / Raw(b"x" * 32), wait=WAIT_S)
    assert (answer[ICMP].type, answer[ICMP].code, answer[IP].src) == (3, 2, libos.address)
