# SPDX-License-Identifier: MIT
"""On-off sources and sinks of the harness itself, over every transport: exact bytes at exact times."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest

from suites.cradle import transports
from suites.cradle.scenario import CLOSE_S, DELAY_S, RATE_BPS, both_versions, cable
from suites.cradle.transports import TRANSPORTS, Transport, all_transports
from testbed.backends.traffic import on_off

if TYPE_CHECKING:
    from testbed.backends.network import Network

pytestmark = [cable, pytest.mark.usefixtures("acquainted")]

SOURCE_BPS, PACKET = 800, 1024  # 100 B/s in packets of 1024 B: one every 10.24 s
START_S, STOP_S = 4.0, 104.0
COUNT = 9


def packets(network: Network, end: str) -> list[tuple[int, float, int]]:
    """Give number, time in seconds and length of every frame with a packet of a source, as an end saw it."""
    found = []
    for frame in network.link("h1-h2").frames(end):
        if frame.length > PACKET:
            at = frame.data.rindex(b"\xa5" * (PACKET - 8)) - 8
            found.append((struct.unpack_from("!Q", frame.data, at)[0], frame.time_ns / 1e9, frame.length))
    return found


@pytest.mark.real_time_budget(STOP_S)
@both_versions
@all_transports
def test_every_byte_arrives_at_its_time(network: Network, transport: Transport, version: int) -> None:
    """100 B/s from t = 4 s for 100 s are nine whole packets: sent to the time, received 100 ms and its bits later."""
    sink = transport.sink(network["h2"], version)
    source = transport.source(network["h1"], network["h2"], version)
    source.source(PACKET, on_off(rate_bps=SOURCE_BPS, packet_bytes=PACKET, start=START_S, stop=STOP_S))
    network.sleep_until(STOP_S + 1)

    sent, received = source.tally("source"), sink.tally("sink")
    assert (sent.messages, sent.bytes, sent.refused_bytes, sent.left) == (COUNT, COUNT * PACKET, 0, 0)
    wanted = COUNT * transport.received_bytes(PACKET, version)
    assert (received.messages, received.bytes, received.errno) == (COUNT, wanted, None)
    assert received.connections == transport.connects

    left, arrived = packets(network, "h1"), packets(network, "h2")
    assert [number for number, _, _ in left] == [number for number, _, _ in arrived] == list(range(COUNT))
    assert [time for _, time, _ in left] == pytest.approx(
        [START_S + 10.24 * (number + 1) for number in range(COUNT)], abs=CLOSE_S
    )
    flights = [there - here for (_, here, _), (_, there, _) in zip(left, arrived, strict=True)]
    # A small frame of the kernel's own (an acknowledgement, a probe of a neighbour) may be in front of a packet.
    assert flights == pytest.approx([DELAY_S + length * 8 / RATE_BPS for _, _, length in left], abs=CLOSE_S)
    assert received.last_s == pytest.approx(arrived[-1][1], abs=CLOSE_S)


@pytest.mark.real_time_budget(70)
@both_versions
def test_source_is_silent_while_it_is_off(network: Network, version: int) -> None:
    """One second on, nine off: a packet that takes half a second of being on goes at half and at the end of each."""
    sink = transports.UDP.sink(network["h2"], version)
    source = transports.UDP.source(network["h1"], network["h2"], version)
    rate = 2 * PACKET * 8
    times = on_off(rate_bps=rate, packet_bytes=PACKET, start=START_S, stop=64.0, on=1.0, off=9.0)
    assert times == [START_S + 10 * period + half for period in range(6) for half in (0.5, 1.0)]
    source.source(PACKET, times)
    network.sleep_until(65.0)
    assert sink.tally("sink").bytes == 12 * PACKET
    assert [time for _, time, _ in packets(network, "h1")] == pytest.approx(times, abs=CLOSE_S)


@pytest.mark.real_time_budget(STOP_S)
@pytest.mark.requires("dccp", "sctp")
def test_all_sources_at_once_in_both_directions(network: Network) -> None:
    """Ten sources and ten sinks run side by side, both IP versions, each of its own number of bytes."""
    h1, h2 = network["h1"], network["h2"]
    pairs = []
    for number, transport in enumerate(TRANSPORTS, start=1):
        for version, here, there in ((4, h1, h2), (6, h2, h1)):
            sink = transport.sink(there, version)
            source = transport.source(here, there, version)
            stop = START_S + number * 5
            source.source(PACKET, on_off(rate_bps=8 * PACKET, packet_bytes=PACKET, start=START_S, stop=stop))
            pairs.append((source, sink, number * 5, transport.received_bytes(PACKET, version)))
    network.sleep_until(START_S + 30)
    for source, sink, count, received in pairs:
        assert source.tally("source").bytes == count * PACKET
        assert sink.tally("sink").bytes == count * received


@both_versions
def test_stream_faster_than_its_link_loses_nothing(network: Network, version: int) -> None:
    """A TCP source offers ten times what the link carries: what the socket took arrives, what it refused is counted."""
    network.link("h1-h2").set(rate_bps=1_000_000)
    sink = transports.TCP.sink(network["h2"], version)
    source = transports.TCP.source(network["h1"], network["h2"], version)
    times = on_off(rate_bps=10_000_000, packet_bytes=10_000, start=START_S, stop=START_S + 5)
    source.source(10_000, times)
    network.sleep_until(START_S + 60)
    sent = source.tally("source")
    assert sent.bytes + sent.refused_bytes == len(times) * 10_000
    assert sent.refused_bytes > 0
    assert sink.tally("sink").bytes == sent.bytes


def test_datagrams_faster_than_the_link_are_lost_in_its_queue(network: Network) -> None:
    """Of UDP packets at once the link's queue takes what it has room for; the sink counts exactly those on the wire."""
    network.link("h1-h2").set(rate_bps=1_000_000, queue_packets=20)
    sink = transports.UDP.sink(network["h2"], 4)
    source = transports.UDP.source(network["h1"], network["h2"], 4)
    source.source(PACKET, [START_S] * 100)
    network.sleep_until(START_S + 5)
    sent = source.tally("source")
    assert sent.bytes + sent.refused_bytes == 100 * PACKET  # the socket has a buffer, too
    assert len(packets(network, "h1")) == sent.messages > 50
    assert len(packets(network, "h2")) == 20
    assert sink.tally("sink").bytes == 20 * PACKET


def test_source_without_a_sink_is_told(network: Network) -> None:
    """A closed port answers with an ICMP error: the source keeps it in its tally and goes on."""
    source = transports.UDP.source(network["h1"], network["h2"], 4)
    source.source(PACKET, [1.0, 2.0, 3.0])
    network.sleep_until(4.0)
    tally = source.tally("source")
    assert (tally.errno, tally.left) == (errno.ECONNREFUSED, 0)
    assert tally.bytes + tally.refused_bytes == 3 * PACKET


def test_end_of_a_connection_is_counted(network: Network) -> None:
    """A sink says how many connections came and how many have ended."""
    sink = transports.TCP.sink(network["h2"], 4)
    sources = [transports.TCP.source(network["h1"], network["h2"], 4) for _ in range(3)]
    for source in sources:
        source.source(PACKET, [1.0])
    network.sleep_until(2.0)
    sources[0].close()
    network.sleep_until(3.0)
    received = sink.tally("sink")
    assert (received.connections, received.ended, received.bytes) == (3, 1, 3 * PACKET)
