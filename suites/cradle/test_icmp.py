# SPDX-License-Identifier: MIT
"""Echo and reassembly (RFC 792, 4443, 791, 8200): whole, in fragments, broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import ICMP, IP, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrFragment,
    fragment6,
)
from scapy.packet import Raw

from suites.cradle.counters import counter
from suites.cradle.scenario import CLOSE_S, both_versions, cable, flight_s, rings_after

if TYPE_CHECKING:
    from suites.common.ghost import Ghost

pytestmark = cable

DATA = bytes(range(256)) * 8
ECHO_REPLY = 0
TIME_EXCEEDED, REASSEMBLY = 11, 1
REASSEMBLY_S = {4: 30.0, 6: 60.0}  # net.ipv4.ipfrag_time; RFC 8200, section 4.5


def echo(ghost: Ghost, version: int, data: bytes = DATA[:256], **fields: Any) -> Any:
    """Make a ping of the far node."""
    if version == 4:
        return ghost.ip(4) / ICMP(id=7, seq=1, **fields) / Raw(data)
    return ghost.ip(6) / ICMPv6EchoRequest(id=7, seq=1, data=data, **fields)


def fragments(ghost: Ghost, version: int) -> list[Any]:
    """Make the same ping in two fragments or more."""
    whole = echo(ghost, version, DATA)
    if version == 4:
        return list(fragment(whole, 1024))
    head = ghost.ip(6) / IPv6ExtHdrFragment(id=99)
    return list(fragment6(head / ICMPv6EchoRequest(bytes(whole[ICMPv6EchoRequest])), 1280))


def replied(frame: Any, version: int) -> tuple[int, int, bytes]:
    """Give id, sequence number and data of an echo reply."""
    if version == 4:
        assert frame[ICMP].type == ECHO_REPLY
        return frame[ICMP].id, frame[ICMP].seq, bytes(frame[ICMP].payload)
    said = frame[ICMPv6EchoReply]
    return said.id, said.seq, bytes(said.data)


@both_versions
def test_echo_is_answered_at_once(ghost: Ghost, version: int) -> None:
    """The reply has the request's id, number and bytes, a fresh hop count, and takes two flights to the microsecond."""
    [answer] = ghost.ask(echo(ghost, version), at=1.0)
    assert replied(answer, version) == (7, 1, DATA[:256])
    assert (answer[IP].ttl if version == 4 else answer[IPv6].hlim) == 64
    [asked] = ghost.sent(ICMP if version == 4 else ICMPv6EchoRequest)
    assert asked.time == pytest.approx(1.0, abs=CLOSE_S)
    assert answer.time - asked.time == pytest.approx(flight_s(asked, answer), abs=1e-6)


@both_versions
def test_wrong_checksum_is_dropped_and_counted(ghost: Ghost, version: int) -> None:
    """A request with a wrong checksum gets no reply; the node counts one error."""
    name = "IcmpInCsumErrors" if version == 4 else "Icmp6InCsumErrors"
    before = counter(ghost.far, name)
    wrong: dict[str, Any] = {"chksum" if version == 4 else "cksum": 0x1234}
    assert ghost.ask(echo(ghost, version, **wrong)) == []
    assert counter(ghost.far, name) == before + 1


def test_wrong_header_checksum_is_dropped_and_counted(ghost: Ghost) -> None:
    """The same for the checksum of the IPv4 header."""
    before = counter(ghost.far, "IpExtInCsumErrors")
    assert ghost.ask(ghost.ip(4, chksum=0x1234) / ICMP(id=7)) == []
    assert counter(ghost.far, "IpExtInCsumErrors") == before + 1


def test_echo_to_all_is_ignored(ghost: Ghost) -> None:
    """A ping of the subnet's broadcast address arrives, and is answered only where net.ipv4 asks for it."""
    for ignored, replies in ((1, []), (0, [ECHO_REPLY])):
        ghost.far.run(["sysctl", "-qw", f"net.ipv4.icmp_echo_ignore_broadcasts={ignored}"])
        before = counter(ghost.far, "IcmpInEchos")
        answers = ghost.ask(ghost.ip(4, to="10.0.1.255") / ICMP(id=7))
        assert [frame[ICMP].type for frame in answers] == replies
        assert counter(ghost.far, "IcmpInEchos") == before + 1


@both_versions
def test_fragments_in_reverse_order_are_put_together(ghost: Ghost, version: int) -> None:
    """The last fragment first: one reply with all bytes, in fragments again where it is too long."""
    parts = fragments(ghost, version)
    assert len(parts) >= 2
    answers = ghost.ask(*reversed(parts))
    if version == 4:
        pieces = sorted((frame[IP].frag * 8, bytes(frame[IP].payload)) for frame in answers)
        assert b"".join(piece for _, piece in pieces)[8:] == DATA
    else:
        pieces = sorted((frame[IPv6ExtHdrFragment].offset * 8, _after_fragment_header(frame)) for frame in answers)
        assert b"".join(piece for _, piece in pieces)[8:] == DATA


@both_versions
def test_missing_fragment_is_reported_when_time_is_up(ghost: Ghost, version: int) -> None:
    """With only the first fragment the node waits 30 s (IPv6: 60 s), then tells that the time is exceeded."""
    first, *_ = fragments(ghost, version)
    [report] = ghost.ask(first, at=1.0, wait=REASSEMBLY_S[version] * 1.25)
    if version == 4:
        assert (report[ICMP].type, report[ICMP].code) == (TIME_EXCEEDED, REASSEMBLY)
    else:
        assert report[ICMPv6TimeExceeded].code == REASSEMBLY
    [sent] = ghost.sent(ICMP if version == 4 else IPv6ExtHdrFragment)
    assert rings_after(report.time - sent.time - flight_s(sent, report), REASSEMBLY_S[version])


def test_overlapping_fragments_are_thrown_away(ghost: Ghost) -> None:
    """IPv6 fragments that overlap are an attack: the whole packet is dropped (RFC 5722), and that is counted."""
    first, *rest = fragments(ghost, 6)
    twisted = first.copy()
    twisted[IPv6ExtHdrFragment].offset = 1
    for parts, failed, whole in (([first, twisted, *rest], 1, 0), ([first, *rest], 0, 1)):
        before = reassembly(ghost)
        answers = ghost.ask(*parts)
        assert reassembly(ghost) == (before[0] + failed, before[1] + whole)
        assert bool(answers) == bool(whole)


def reassembly(ghost: Ghost) -> tuple[int, int]:
    """Give how many IPv6 packets of the node could not be put together, and how many could."""
    return counter(ghost.far, "Ip6ReasmFails"), counter(ghost.far, "Ip6ReasmOKs")


def _after_fragment_header(frame: Any) -> bytes:
    return bytes(frame[IPv6ExtHdrFragment])[8:]
