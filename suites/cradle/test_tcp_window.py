# SPDX-License-Identifier: MIT
"""Segments that an open connection does not expect (RFC 9293, 5961, 2018): outside the window, out of order, twice."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import TCP

from suites.common.by_hand import FIRST, option, payload
from suites.common.kernel import since
from suites.cradle.scenario import both_versions, cable, doubles, flight_s
from testbed.backends.sockets import NetworkTimeout

if TYPE_CHECKING:
    from suites.cradle.by_hand import HandTcp
    from testbed.backends.network import Network

pytestmark = cable

START = FIRST + 1  # the first sequence number of data
SACK_PERMITTED = [("SAckOK", b"")]


@both_versions
@pytest.mark.parametrize("offset", [100_000, -100_000], ids=["beyond", "before"])
def test_segment_outside_the_window_is_answered_and_not_delivered(tcp: HandTcp, version: int, offset: int) -> None:
    """The answer is an ACK that says which sequence number is wanted; the bytes go nowhere."""
    server = tcp.open()
    [answer] = tcp.say("PA", b"far off", seq=START + offset)
    assert (str(answer[TCP].flags), answer[TCP].ack, payload(answer)) == ("A", START, b""), version
    sent = tcp.ghost.sent(TCP)[-1]
    assert answer.time - sent.time == pytest.approx(flight_s(sent, answer), abs=1e-6)
    [_] = tcp.say("PA", b"just right")
    assert server.recv(100) == b"just right"


def test_segments_out_of_order_are_acknowledged_selectively(tcp: HandTcp) -> None:
    """The later segment gets a duplicate ACK with its block; when the hole is filled, all bytes arrive in order."""
    server = tcp.open(options=SACK_PERMITTED)
    [duplicate] = tcp.say("PA", b"second", seq=START + 6)
    assert (duplicate[TCP].ack, option(duplicate, "SAck")) == (START, (START + 6, START + 12))
    [together] = tcp.say("PA", b"first ")
    assert (together[TCP].ack, option(together, "SAck")) == (START + 12, None)
    assert server.recv(100) == b"first second"


def test_block_that_grows_becomes_the_first(tcp: HandTcp) -> None:
    """Whichever block the last segment belongs to is named first, be it the older one (RFC 2018, section 4)."""
    tcp.open(options=SACK_PERMITTED)
    one, two = (START + 10, START + 15), (START + 30, START + 35)
    told = []
    for start in (one[0], two[0], one[1]):
        [answer] = tcp.say("PA", b"later", seq=start)
        told.append(option(answer, "SAck"))
    assert told == [one, (*two, *one), (one[0], one[1] + 5, *two)]


def test_repeated_segment_is_reported_as_a_duplicate(tcp: HandTcp) -> None:
    """What came twice is delivered once, and the ACK's first block names it (D-SACK, RFC 2883)."""
    server = tcp.open(options=SACK_PERMITTED)
    [_] = tcp.say("PA", b"once")
    [again] = tcp.say("PA", b"once", seq=START)
    assert (again[TCP].ack, option(again, "SAck")) == (START + 4, (START, START + 4))
    [_] = tcp.say("PA", b" more")
    [old] = tcp.say("PA", b"once", seq=START)  # ends before the window now
    assert (old[TCP].ack, option(old, "SAck")) == (START + 9, (START, START + 4))
    assert server.recv(100) == b"once more"
    server.settimeout(1.0)
    with pytest.raises(NetworkTimeout):
        server.recv(100)


def test_without_permission_there_are_no_blocks(tcp: HandTcp) -> None:
    """Where the SYN did not permit SACK, the duplicate ACK is a plain one."""
    tcp.open()
    [duplicate] = tcp.say("PA", b"second", seq=START + 6)
    assert (duplicate[TCP].ack, duplicate[TCP].options) == (START, [])


@both_versions
def test_exact_reset_ends_the_connection(tcp: HandTcp, version: int) -> None:
    """A reset whose number is exactly the next one is obeyed, silently."""
    server = tcp.open()
    assert tcp.say("R") == [], version
    with pytest.raises(ConnectionResetError):
        server.recv(1)


@both_versions
def test_reset_elsewhere_in_the_window_is_challenged(tcp: HandTcp, version: int) -> None:
    """An attacker who guesses the window but not the number gets a challenge ACK (RFC 5961, section 3.2)."""
    server = tcp.open()
    [challenge] = tcp.say("R", seq=START + 1000)
    assert (str(challenge[TCP].flags), challenge[TCP].ack) == ("A", START), version
    [_] = tcp.say("PA", b"still here")
    assert server.recv(100) == b"still here"


def test_reset_outside_the_window_is_ignored(tcp: HandTcp) -> None:
    """Not even a challenge: the connection goes on."""
    server = tcp.open()
    assert tcp.say("R", seq=START - 100_000) == []
    [_] = tcp.say("PA", b"still here")
    assert server.recv(100) == b"still here"


@both_versions
def test_syn_on_an_open_connection_is_challenged(tcp: HandTcp, version: int) -> None:
    """A SYN within the window of an open connection gets a challenge ACK (RFC 5961, section 4.2)."""
    server = tcp.open()
    [challenge] = tcp.say("S", seq=START + 1000)
    assert (str(challenge[TCP].flags), challenge[TCP].ack) == ("A", START), version
    [_] = tcp.say("PA", b"still here")
    assert server.recv(100) == b"still here"


def test_data_that_nobody_acknowledges_is_repeated_at_doubling_intervals(tcp: HandTcp) -> None:
    """The same bytes come again and again, each time after twice as long (RFC 6298, section 5.5)."""
    server = tcp.open()
    server.sendall(b"hello?")
    said = tcp.ghost.ask(wait=60.0)
    assert {(frame[TCP].seq, payload(frame)) for frame in said} == {(tcp.acknowledged, b"hello?")}
    gaps = [later.time - earlier.time for earlier, later in itertools.pairwise(said)]
    backed_off = gaps[1:]  # the first one may be before a tail loss probe (RFC 8985)
    assert len(backed_off) >= 5
    assert doubles(backed_off), gaps


def test_closed_window_is_probed_until_it_opens(network: Network, tcp: HandTcp) -> None:
    """Into a window of zero go only probes, at doubling intervals; when it opens, the data comes at once."""
    since(network, (6, 12), "probes with the data itself")
    server = tcp.open()
    tcp.window = 0
    assert tcp.say("A") == []
    server.sendall(b"patience")
    probes = tcp.ghost.ask(wait=20.0)
    assert {(str(frame[TCP].flags), frame[TCP].seq, payload(frame)) for frame in probes} == {
        ("A", tcp.acknowledged - 1, b"")
    }
    gaps = [later.time - earlier.time for earlier, later in itertools.pairwise(probes)]
    assert len(gaps) >= 3
    assert doubles(gaps), gaps
    tcp.window = 1000
    [data] = tcp.say("A", wait=0.21)
    assert payload(data) == b"patience"
    opened = tcp.ghost.sent(TCP)[-1]
    assert data.time - opened.time == pytest.approx(flight_s(opened, data), abs=1e-6)
