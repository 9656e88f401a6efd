# SPDX-License-Identifier: MIT
"""TCP (RFC 9293): opening, closing and resets, order, windows, sizes, and segments that nobody expects."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import TCP

from suites.common.by_hand import FIRST, option, payload
from suites.common.queues import outcome, pattern
from suites.stack.scenario import SOON_S, WAIT_S, all_stacks, cable, doubles, gaps_s, known_gap

if TYPE_CHECKING:
    from suites.stack.by_hand import HandTcp
    from testbed.backends.completion import Token
    from testbed.backends.network import Network

pytestmark = [cable, all_stacks]

START = FIRST + 1  # the first sequence number of data


def flags(frames: list[Any]) -> list[str]:
    return [str(frame[TCP].flags) for frame in frames]


def everything(tcp: HandTcp, pop: Token) -> bytes:
    """Pop until the end of the stream, ``pop`` first."""
    queue, seen = pop.qd, b""
    while data := tcp.libos.wait(pop, 1.0).data:
        seen += data
        pop = tcp.libos.pop(queue)
    return seen


def opened_wide(tcp: HandTcp) -> int:
    """Open a connection and acknowledge some data, so that congestion control allows more than in the beginning."""
    queue = tcp.open(options=[("MSS", 1000)])
    for _ in range(4):
        tcp.libos.wait(tcp.libos.push(queue, pattern(2000)), 1.0)
        for frame in tcp.ghost.ask(wait=0.02):
            tcp.acknowledged = frame[TCP].seq + len(payload(frame))
            tcp.ghost.send(tcp.segment("A"))
        tcp.ghost.ask(wait=0.02)
    return queue


def test_handshake_and_data_both_ways(network: Network, tcp: HandTcp) -> None:
    queue = tcp.open(options=[("MSS", 1000)])
    answers = tcp.say("PA", b"hello")
    assert (answers[-1][TCP].ack, tcp.libos.wait(tcp.libos.pop(queue), 1.0).data) == (START + 5, b"hello")
    push = tcp.libos.push(queue, b"world")
    [data] = tcp.ghost.ask(wait=WAIT_S)
    assert (payload(data), data[TCP].seq) == (b"world", tcp.acknowledged)
    assert outcome(lambda: tcp.libos.wait(push, 1.0)) == "done"
    assert network.now() < 5


def test_an_answer_to_a_syn_comes_at_once(network: Network, tcp: HandTcp) -> None:
    tcp.listen()
    at_s = network.now() + 0.25
    [answer] = tcp.ghost.ask(tcp.segment("S"), at=at_s, wait=WAIT_S)
    assert (str(answer[TCP].flags), answer[TCP].ack) == ("SA", START)
    assert at_s + 0.002 <= answer.time < at_s + 0.002 + SOON_S


def test_a_port_where_nobody_listens_resets(tcp: HandTcp) -> None:
    [answer] = tcp.say("S")
    assert (str(answer[TCP].flags), answer[TCP].seq, answer[TCP].ack) == ("RA", 0, START)
    [answer] = tcp.say("A", seq=77, ack=12345)
    assert (str(answer[TCP].flags), answer[TCP].seq) == ("R", 12345)
    assert tcp.say("R") == []


def test_a_syn_that_is_not_answered_comes_again(tcp: HandTcp) -> None:
    _, token, asked = tcp.called(wait=20.0)
    assert set(flags(asked)) == {"S"}
    assert len(asked) >= 4
    gaps = gaps_s(asked)
    assert gaps[0] == pytest.approx(1.0, rel=0.15)  # RFC 6298, 2.1
    assert all(later > 0.99 * earlier for earlier, later in itertools.pairwise(gaps))
    assert gaps[-1] >= 2 * 0.9 * gaps[0]  # Linux: the first four at equal intervals (tcp_syn_linear_timeouts)
    assert outcome(lambda: tcp.libos.wait(token, 0.0)) == "ETIMEDOUT"


def test_a_refused_attempt_says_so(tcp: HandTcp) -> None:
    _, token, _ = tcp.called()
    assert tcp.say("RA") == []
    assert outcome(lambda: tcp.libos.wait(token, 1.0)) == "ECONNREFUSED"


def test_a_syn_ack_for_something_else_is_reset(tcp: HandTcp) -> None:
    _, token, [syn] = tcp.called()
    answer = tcp.say("SA", ack=syn[TCP].seq + 77)[0]
    assert (str(answer[TCP].flags)[0], answer[TCP].seq) == ("R", syn[TCP].seq + 77)
    assert outcome(lambda: tcp.libos.wait(token, 0.0)) == "ETIMEDOUT"


def test_both_may_open_at_once(tcp: HandTcp) -> None:
    """Two SYNs that cross each other make one connection (RFC 9293, 3.5, figure 7)."""
    queue, token, [syn] = tcp.called()
    answers = tcp.say("S")
    assert (str(answers[0][TCP].flags), answers[0][TCP].seq, answers[0][TCP].ack) == ("SA", syn[TCP].seq, START)
    tcp.say("A")
    assert outcome(lambda: tcp.libos.wait(token, 1.0)) == "done"
    tcp.say("PA", b"crossed")
    assert tcp.libos.wait(tcp.libos.pop(queue), 1.0).data == b"crossed"


def test_segments_in_any_order_are_delivered_in_order(tcp: HandTcp) -> None:
    queue = tcp.open()
    parts = {0: b"aaaa", 4: b"bbbb", 8: b"cccc", 12: b"dddd"}
    for at in (8, 4, 12):
        [duplicate] = tcp.say("PA", parts[at], seq=START + at)
        assert duplicate[TCP].ack == START
    answers = tcp.say("PA", parts[0])
    assert answers[-1][TCP].ack == START + 16
    assert tcp.libos.wait(tcp.libos.pop(queue), 1.0).data == b"aaaabbbbccccdddd"


def test_a_fin_before_its_time_waits_for_the_data(tcp: HandTcp) -> None:
    queue = tcp.open()
    [duplicate] = tcp.say("FA", b"end", seq=START + 6)
    assert duplicate[TCP].ack == START
    pop = tcp.libos.pop(queue)
    assert outcome(lambda: tcp.libos.wait(pop, 0.1)) == "ETIMEDOUT"
    tcp.sequence = START
    tcp.say("PA", b"begin ")
    [_] = tcp.say("FA", seq=START + 9)  # a peer sends again what was not acknowledged
    assert everything(tcp, pop) == b"begin end"


def test_a_fin_that_comes_again_with_its_data_ends_the_stream(
    request: pytest.FixtureRequest, flavor: str, tcp: HandTcp
) -> None:
    """The data was kept when it came too early, the FIN may have been, too."""
    known_gap(request, flavor, "a segment whose data is old is dropped with its FIN, though that is new")
    queue = tcp.open()
    tcp.say("FA", b"end", seq=START + 6)
    tcp.say("PA", b"begin ")
    tcp.say("FA", b"end", seq=START + 6)
    assert everything(tcp, tcp.libos.pop(queue)) == b"begin end"


def test_the_peer_closes_first(tcp: HandTcp) -> None:
    queue = tcp.open()
    answers = tcp.say("FA", b"last")
    assert answers[-1][TCP].ack == START + 5
    assert [tcp.libos.wait(tcp.libos.pop(queue), 1.0).data for _ in range(2)] == [b"last", b""]
    tcp.libos.close(queue)
    [fin] = tcp.ghost.ask(wait=WAIT_S)
    assert str(fin[TCP].flags) == "FA"
    tcp.acknowledged += 1
    assert tcp.say("A") == []
    [answer] = tcp.say("A")  # nobody knows the connection any more
    assert str(answer[TCP].flags) == "R"


def test_both_may_close_at_once(tcp: HandTcp) -> None:
    """Two FINs that cross each other, each acknowledged (RFC 9293, 3.6, figure 13)."""
    queue = tcp.open()
    tcp.libos.close(queue)
    [fin] = tcp.ghost.ask(wait=WAIT_S)
    assert (str(fin[TCP].flags), fin[TCP].seq) == ("FA", tcp.acknowledged)
    [answer] = tcp.say("FA")  # which acknowledges no FIN
    assert (answer[TCP].ack, "R" in flags([answer])) == (START + 1, False)
    tcp.acknowledged += 1
    assert tcp.say("A") == []
    assert tcp.ghost.ask(wait=3.0) == []


def test_data_after_a_close_is_reset(tcp: HandTcp) -> None:
    """Nobody will ever read it (RFC 1122, 4.2.2.13)."""
    queue = tcp.open()
    tcp.libos.close(queue)
    tcp.ghost.ask(wait=WAIT_S)
    tcp.acknowledged += 1
    tcp.say("A")
    answers = tcp.say("PA", b"too late")
    assert "R" in str(answers[-1][TCP].flags)


def test_a_fin_that_is_not_acknowledged_comes_again(tcp: HandTcp) -> None:
    queue = tcp.open()
    tcp.libos.close(queue)
    fins = tcp.ghost.ask(wait=10.0)
    assert set(flags(fins)) == {"FA"}
    assert len(fins) >= 4
    assert doubles(gaps_s(fins)[1:])


def test_an_exact_reset_ends_the_connection(tcp: HandTcp) -> None:
    queue = tcp.open()
    pop = tcp.libos.pop(queue)
    assert tcp.say("R") == []
    assert outcome(lambda: tcp.libos.wait(pop, 1.0)) == "ECONNRESET"
    assert outcome(lambda: tcp.libos.wait(tcp.libos.push(queue, b"x"), 1.0)) in ("ECONNRESET", "EPIPE")


@pytest.mark.parametrize("offset", [100_000_000, -100_000], ids=["beyond", "before"])
def test_a_reset_outside_the_window_is_ignored(tcp: HandTcp, offset: int) -> None:
    queue = tcp.open()
    assert "R" not in "".join(flags(tcp.say("R", seq=START + offset)))
    tcp.say("PA", b"still here")
    assert tcp.libos.wait(tcp.libos.pop(queue), 1.0).data == b"still here"


@pytest.mark.parametrize("flag", ["R", "S"])
def test_a_guess_within_the_window_does_no_harm(
    request: pytest.FixtureRequest, flavor: str, tcp: HandTcp, flag: str
) -> None:
    """A reset, or a SYN, of an attacker who guesses the window but not the number (RFC 5961)."""
    if flag == "R":
        known_gap(request, flavor, "any reset within the window ends the connection, as before RFC 5961")
    queue = tcp.open()
    assert "R" not in "".join(flags(tcp.say(flag, seq=START + 1000)))
    tcp.say("PA", b"still here")
    assert tcp.libos.wait(tcp.libos.pop(queue), 1.0).data == b"still here"


@pytest.mark.parametrize("flag", ["R", "S"])
def test_a_guess_within_the_window_is_challenged(
    request: pytest.FixtureRequest, flavor: str, tcp: HandTcp, flag: str
) -> None:
    """The true peer would answer the ACK with the exact number (RFC 5961, sections 3.2 and 4.2)."""
    known_gap(request, flavor, "nothing within the window is answered by a challenge ACK")
    tcp.open()
    answers = tcp.say(flag, seq=START + 1000)
    assert [(str(answer[TCP].flags), answer[TCP].ack) for answer in answers] == [("A", START)]


@pytest.mark.parametrize("offset", [100_000_000, -100_000], ids=["beyond", "before"])
def test_data_outside_the_window_is_answered_and_not_delivered(tcp: HandTcp, offset: int) -> None:
    queue = tcp.open()
    [answer] = tcp.say("PA", b"far off", seq=START + offset)
    assert (str(answer[TCP].flags), answer[TCP].ack, payload(answer)) == ("A", START, b"")
    tcp.say("PA", b"just right")
    assert tcp.libos.wait(tcp.libos.pop(queue), 1.0).data == b"just right"


@pytest.mark.parametrize(
    "fields", [{"chksum": 0x1234}, {"dataofs": 3}, {"dataofs": 15}], ids=["checksum", "short header", "long header"]
)
def test_a_bad_segment_is_dropped(tcp: HandTcp, fields: dict[str, Any]) -> None:
    queue = tcp.open()
    assert tcp.say("PA", b"wrong", seq=tcp.sequence, **fields) == []
    tcp.say("PA", b"right")
    assert tcp.libos.wait(tcp.libos.pop(queue), 1.0).data == b"right"


def test_what_came_twice_is_delivered_once(tcp: HandTcp) -> None:
    queue = tcp.open()
    tcp.say("PA", b"once ")
    [again] = tcp.say("PA", b"once ", seq=START)
    assert again[TCP].ack == START + 5
    tcp.say("PA", b"e and more", seq=START + 3)  # overlaps the end of it
    tcp.sequence = START + 13
    tcp.say("PA", b".")
    seen = b""
    while len(seen) < 14:
        seen += tcp.libos.wait(tcp.libos.pop(queue), 1.0).data
    assert seen == b"once and more."


def test_data_that_nobody_acknowledges_is_repeated_at_doubling_intervals(tcp: HandTcp) -> None:
    """The same bytes come again and again, each time after twice as long (RFC 6298, section 5.5)."""
    queue = tcp.open()
    tcp.libos.wait(tcp.libos.push(queue, b"hello?"), 1.0)
    said = tcp.ghost.ask(wait=60.0)
    assert {(frame[TCP].seq, payload(frame)) for frame in said} == {(tcp.acknowledged, b"hello?")}
    backed_off = gaps_s(said)[1:]  # the first one may be before a tail loss probe (RFC 8985)
    assert len(backed_off) >= 4
    assert doubles(backed_off), backed_off


def test_three_duplicates_repeat_a_segment_at_once(tcp: HandTcp) -> None:
    """Fast retransmit (RFC 5681, section 3.2): long before the timer."""
    queue = opened_wide(tcp)
    tcp.libos.wait(tcp.libos.push(queue, pattern(5000)), 1.0)
    first = tcp.ghost.ask(wait=0.02)
    assert [frame[TCP].seq - tcp.acknowledged for frame in first[:5]] == [0, 1000, 2000, 3000, 4000]
    repeated = tcp.ghost.ask(*[tcp.segment("A")] * 3, wait=0.05)
    assert repeated[0][TCP].seq == tcp.acknowledged


def test_a_closed_window_is_probed_until_it_opens(network: Network, tcp: HandTcp) -> None:
    """Into a window of zero go probes of one byte at most, further and further apart; then the data comes at once."""
    queue = tcp.open()
    tcp.window = 0
    assert tcp.say("A") == []
    tcp.libos.wait(tcp.libos.push(queue, b"patience"), 1.0)
    probes = tcp.ghost.ask(wait=20.0)
    assert len(probes) >= 3
    assert all(len(payload(frame)) <= 1 for frame in probes)
    assert all(later >= earlier * 0.9 for earlier, later in itertools.pairwise(gaps_s(probes)))
    tcp.window = 1000
    opened_s = network.now()
    data = tcp.say("A")
    assert b"patience".startswith(payload(data[0])) or payload(data[0]) == b"patience"
    assert b"".join(payload(frame) for frame in data).endswith(b"patience"[1:])
    assert data[0].time < opened_s + 0.002 + SOON_S


def test_no_more_is_sent_than_the_window_allows(tcp: HandTcp) -> None:
    queue = opened_wide(tcp)
    tcp.libos.wait(tcp.libos.push(queue, b"x"), 1.0)
    tcp.ghost.ask(wait=0.02)
    tcp.acknowledged += 1
    tcp.window = 3000  # which counts from an ACK of something new
    tcp.say("A")
    tcp.libos.push(queue, pattern(10_000))
    sent = tcp.ghost.ask(wait=0.05)
    assert max(frame[TCP].seq + len(payload(frame)) for frame in sent) - tcp.acknowledged == 3000


@pytest.mark.parametrize(("said", "most"), [(536, 536), (1000, 1000), (1460, 1460), (9000, 1460), (None, 536)])
def test_no_segment_is_longer_than_the_peer_said(tcp: HandTcp, said: int | None, most: int) -> None:
    """Without a word of the peer it is 536 bytes (RFC 9293, section 3.7.1)."""
    queue = tcp.open(options=[] if said is None else [("MSS", said)])
    tcp.libos.wait(tcp.libos.push(queue, pattern(4000)), 1.0)
    sent = tcp.ghost.ask(wait=0.05)
    assert max(len(payload(frame)) for frame in sent) == most


def test_its_own_mss_is_what_fits_into_a_frame(tcp: HandTcp) -> None:
    _, _, [syn] = tcp.called()
    assert option(syn, "MSS") == 1460
