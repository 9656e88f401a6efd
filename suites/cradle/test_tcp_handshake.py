# SPDX-License-Identifier: MIT
"""TCP by hand (RFC 9293): open, talk, close; be refused; be heard by nobody."""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import TCP

from suites.common.by_hand import FIRST, GHOST_PORT, PORT, option, payload
from suites.cradle.by_hand import HandTcp
from suites.cradle.counters import counter
from suites.cradle.scenario import CLOSE_S, both_versions, cable, flight_s, rings_after
from testbed.backends.sockets import NetworkTimeout

if TYPE_CHECKING:
    from suites.common.ghost import Ghost

pytestmark = cable

MSS = {4: 1460, 6: 1440}


@both_versions
def test_handshake_data_and_close(tcp: HandTcp, version: int) -> None:
    """SYN, SYN-ACK, ACK, data both ways, FIN both ways: every flag and number is the one that the RFC asks for."""
    accepted_by = tcp.listen()
    [answer] = tcp.say("S", at=1.0, options=[("MSS", MSS[version])])
    assert (str(answer[TCP].flags), answer[TCP].ack) == ("SA", FIRST + 1)
    assert option(answer, "MSS") == MSS[version]
    tcp.acknowledged = answer[TCP].seq + 1
    assert tcp.say("A") == []
    server, peer = accepted_by.accept()
    assert peer[:2] == (tcp.ghost.addresses[version], GHOST_PORT)

    [heard] = tcp.say("PA", b"knock, knock")
    assert (str(heard[TCP].flags), heard[TCP].ack, payload(heard)) == ("A", FIRST + 13, b"")
    assert server.recv(100) == b"knock, knock"

    server.sendall(b"who is there?")
    [said] = tcp.ghost.ask(wait=0.2)
    assert (said[TCP].seq, said[TCP].ack, payload(said)) == (tcp.acknowledged, FIRST + 13, b"who is there?")
    tcp.acknowledged += len(payload(said))

    [seen] = tcp.say("FA")
    assert (str(seen[TCP].flags), seen[TCP].ack) == ("A", FIRST + 14)
    assert server.recv(100) == b""
    server.close()
    [last] = tcp.ghost.ask(wait=0.2)
    assert (str(last[TCP].flags), last[TCP].seq) == ("FA", tcp.acknowledged)
    tcp.acknowledged += 1
    assert tcp.say("A") == []
    left = tcp.ghost.far.run(["ss", "--numeric", "--tcp", "--all", "--no-header"]).stdout.splitlines()
    assert [line.split()[0] for line in left] == ["LISTEN"]


@both_versions
def test_answer_to_a_syn_takes_two_flights(tcp: HandTcp, version: int) -> None:
    """The SYN leaves at its exact time, the SYN-ACK comes back after two flights to the microsecond."""
    tcp.listen()
    [answer] = tcp.say("S", at=version)
    [asked] = tcp.ghost.sent(TCP)
    assert asked.time == pytest.approx(version, abs=CLOSE_S)
    assert answer.time - asked.time == pytest.approx(flight_s(asked, answer), abs=1e-6)


@both_versions
@pytest.mark.parametrize(
    ("flags", "wanted"),
    [("S", ("RA", 0, FIRST + 1)), ("A", ("R", 77, 0)), ("FPU", ("RA", 0, FIRST + 1))],
    ids=["syn", "ack", "christmas-tree"],
)
def test_closed_port_resets(tcp: HandTcp, version: int, flags: str, wanted: tuple[str, int, int]) -> None:
    """Whatever comes to a closed port is answered by a reset with the numbers of RFC 9293, section 3.10.7.1."""
    tcp.acknowledged = 77
    [reset] = tcp.say(flags, at=1.0)
    [asked] = tcp.ghost.sent(TCP)
    assert (str(reset[TCP].flags), reset[TCP].seq, reset[TCP].ack) == wanted, version
    assert (reset[TCP].sport, reset[TCP].dport, reset[TCP].window) == (PORT, GHOST_PORT, 0)
    assert reset.time - asked.time == pytest.approx(flight_s(asked, reset), abs=1e-6)


def test_reset_to_a_closed_port_is_not_answered(tcp: HandTcp) -> None:
    """Two sides that answer resets with resets would never end; the reset arrives, and a SYN after it is answered."""
    before = counter(tcp.ghost.far, "TcpInSegs")
    assert tcp.say("R") == []
    assert counter(tcp.ghost.far, "TcpInSegs") == before + 1
    assert counter(tcp.ghost.far, "TcpOutRsts") == 0
    [reset] = tcp.say("S")
    assert str(reset[TCP].flags) == "RA"
    assert counter(tcp.ghost.far, "TcpOutRsts") == 1


@both_versions
def test_wrong_checksum_is_dropped_and_counted(tcp: HandTcp, version: int) -> None:
    """A SYN with a wrong checksum is not answered; the node counts one error, whatever the IP version."""
    tcp.listen()
    assert tcp.say("S", chksum=0x1234) == [], version
    assert counter(tcp.ghost.far, "TcpInCsumErrors") == 1


@both_versions
def test_answer_to_a_syn_is_repeated_at_doubling_intervals(tcp: HandTcp, version: int) -> None:
    """Without the third segment the SYN-ACK comes again after 1, 2, 4, 8 and 16 s (net.ipv4.tcp_synack_retries = 5)."""
    tcp.listen()
    answers = tcp.say("S", at=1.0, wait=100.0)
    assert {str(frame[TCP].flags) for frame in answers} == {"SA"}
    gaps = [later.time - earlier.time for earlier, later in itertools.pairwise(answers)]
    assert len(gaps) == 5, version
    assert all(rings_after(gap, 2**number) for number, gap in enumerate(gaps)), gaps


def test_node_connects_to_the_ghost(tcp: HandTcp) -> None:
    """The other way round: the node's SYN waits for the ghost, which lets it repeat once before it agrees."""
    client = tcp.ghost.far.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.bind(("", PORT))
    client.settimeout(1.5)
    with pytest.raises(NetworkTimeout):
        client.connect((tcp.ghost.addresses[4], GHOST_PORT))
    first, second = tcp.ghost.heard(TCP)
    assert {str(frame[TCP].flags) for frame in (first, second)} == {"S"}
    assert first[TCP].seq == second[TCP].seq
    assert rings_after(second.time - first.time, 1.0)
    tcp.acknowledged = first[TCP].seq + 1
    [agreed] = tcp.say("SA", wait=0.3)
    assert (str(agreed[TCP].flags), agreed[TCP].ack) == ("A", FIRST + 1)
    client.sendall(b"at last")
    [said] = tcp.ghost.ask(wait=0.2)
    assert payload(said) == b"at last"


def test_connection_without_a_listener_is_refused_by_the_ghost(ghost: Ghost) -> None:
    """A reset from the ghost in answer to the SYN is ECONNREFUSED for who connects."""
    tcp = HandTcp(ghost, 4)
    client = ghost.far.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.bind(("", PORT))
    client.settimeout(0.5)
    with pytest.raises(NetworkTimeout):
        client.connect((ghost.addresses[4], GHOST_PORT))
    [asked] = ghost.heard(TCP)
    tcp.acknowledged = asked[TCP].seq + 1
    assert tcp.say("RA", seq=0, wait=0.3) == []
    with pytest.raises(ConnectionRefusedError):
        client.recv(1)
