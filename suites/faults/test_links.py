# SPDX-License-Identifier: MIT
"""Links that lose, reorder, repeat and corrupt up to a fifth of what is sent, and links that are cut."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest

from suites.common.datagrams import to_client, to_server
from suites.common.pdpix import LINK, Sides
from suites.common.queues import LIMIT_S, carry, outcome, pattern
from testbed.backends.workload import finish

if TYPE_CHECKING:
    from suites.common.pdpix import Options
    from suites.common.queues import Engines, Stream
    from testbed.backends.network import Network
    from testbed.scenarios.shape import ShapeParams

# The LibOSes that have a link: what shares memory has none that could be bad.
linked = pytest.mark.flavors(only=("tcp", "udp"))
pytestmark = [linked, pytest.mark.requires("netem")]

DELAY_MS = 5
FAULTS: dict[str, ShapeParams] = {
    "clean": {},
    "lossy": {"loss_ratio": 0.05},
    "very lossy": {"loss_ratio": 0.20},
    "reordering": {"reorder_ratio": 0.20, "jitter_ms": 3},
    "duplicating": {"duplicate_ratio": 0.20},
    "corrupting": {"corrupt_ratio": 0.10},
    "very corrupting": {"corrupt_ratio": 0.20},
    "all at once": {
        "loss_ratio": 0.05,
        "reorder_ratio": 0.05,
        "jitter_ms": 3,
        "duplicate_ratio": 0.05,
        "corrupt_ratio": 0.05,
    },
}
GIVES_UP_S = 2000.0  # Linux repeats unacknowledged data for 924.6 s (tcp_retries2)
STUCK = 2 << 20  # bytes: more than the buffers of both ends hold
LOST = ("ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH")

over_every_link = pytest.mark.parametrize("link", FAULTS)
pair = pytest.mark.scenario("pair", delay_ms=DELAY_MS)


@pair
@over_every_link
@pytest.mark.real_time_budget(60)
def test_one_way_every_byte_is_exact(network: Network, stream: Stream, link: str) -> None:
    """By calls, so that the pushing side lives on: what a stack of its own has not sent ends with its process."""
    network.link(LINK).set(**FAULTS[link])
    data = pattern(64_000)
    for at in range(0, len(data), 8000):
        stream.client.wait(stream.client.push(stream.out, data[at : at + 8000]), GIVES_UP_S)
    assert stream.take(len(data), GIVES_UP_S) == data


@pair
@over_every_link
@pytest.mark.real_time_budget(60)
def test_in_turn_every_message_comes_back(network: Network, flavor: str, link: str) -> None:
    network.link(LINK).set(**FAULTS[link])
    there, here = Sides(network, flavor).run("tcp-ping-pong", size=64, requests=32, timeout=600)
    assert there["received"] == here["received"] == 32


@pair
@over_every_link
@pytest.mark.real_time_budget(60)
def test_many_clients_at_once_get_their_echoes(network: Network, flavor: str, link: str) -> None:
    network.link(LINK).set(**FAULTS[link])
    there, here = Sides(network, flavor).run(
        "tcp-echo", size=256, clients=4, requests=8, mode="concurrent", timeout=600
    )
    assert there["received"] == here["received"] == 4 * 8


@pair
@over_every_link
@pytest.mark.parametrize("closes", ["client", "server"])
@pytest.mark.real_time_budget(60)
def test_connections_close(network: Network, flavor: str, link: str, closes: str) -> None:
    network.link(LINK).set(**FAULTS[link])
    there, here = Sides(network, flavor).run("tcp-close", clients=4, mode="concurrent", closes=closes, timeout=600)
    assert there["connections"] == here["connections"] == 4


@pair
@over_every_link
@pytest.mark.real_time_budget(60)
def test_what_is_pending_ends_when_its_queue_or_its_peer_is_closed(
    network: Network, engines: Engines, link: str
) -> None:
    """A pop and a push of a connection each, closed by either end; the suite tcp-wait has them over a clean link."""
    listener = engines.listener()
    pop, push, own_pop, own_push = (engines.connect(listener) for _ in range(4))
    network.link(LINK).set(**FAULTS[link])
    libos = engines.client
    pushes = [(stream, libos.push(stream.out, pattern(STUCK))) for stream in (push, own_push)]
    pops = [(stream, libos.pop(stream.out)) for stream in (pop, own_pop)]
    for stream, token in (*pushes, *pops):
        assert outcome(partial(libos.wait, token, 2.0)) == "ETIMEDOUT", stream  # nobody pops or pushes there
    for stream in (own_pop, own_push):
        libos.close(stream.out)
    for _, token in (pops[1], pushes[1]):
        assert outcome(partial(libos.wait, token, GIVES_UP_S)) == "ECANCELED"
    for stream in (pop, push):
        engines.server.close(stream.back)
    assert libos.wait(pops[0][1], GIVES_UP_S).data == b""
    assert outcome(partial(libos.wait, pushes[0][1], GIVES_UP_S)) in ("ECONNRESET", "EPIPE")


@pair
@over_every_link
@pytest.mark.real_time_budget(20)
def test_datagrams_that_arrive_are_exact_and_those_that_do_not_are_counted(
    network: Network, flavor: str, link: str
) -> None:
    network.link(LINK).set(**FAULTS[link])
    sides = Sides(network, flavor, introduced=True)
    there, here = sides.run("udp-push-pop", size=200, requests=64)
    up = to_server(sides)
    assert here["sent"] == up.sent == 64
    assert there["received"] == len(up.intact)
    assert there["received_bytes"] == there["received"] * 200
    assert there["lost"] == 64 - len(set(up.intact))
    assert there["received"] >= 32
    if not FAULTS[link]:
        assert there["received"] == 64


@pair
@over_every_link
@pytest.mark.real_time_budget(60)
def test_lost_datagrams_are_asked_for_again(network: Network, flavor: str, link: str) -> None:
    network.link(LINK).set(**FAULTS[link])
    sides = Sides(network, flavor, introduced=True)
    there, here = sides.run("udp-ping-pong", size=64, requests=32, timeout=600)
    up, down = to_server(sides), to_client(sides)
    assert here["sent"] == up.sent == 32 + here["lost"]
    assert there["received"] == there["sent"] == down.sent == len(up.intact)
    # Those that came twice are counted twice; those that came behind the last one are not awaited.
    assert 32 <= here["received"] <= len(down.intact)


@pair
@pytest.mark.real_time_budget(60)
@pytest.mark.parametrize("down_s", [0.5, 20.0])
def test_a_link_that_comes_back_has_lost_nothing(network: Network, stream: Stream, down_s: float) -> None:
    data = pattern(200_000)
    assert stream.send(data[:100]) == data[:100]

    def cut_for_a_while() -> None:
        network.link(LINK).cut()
        network.sleep(down_s)
        network.link(LINK).restore()

    assert carry([stream], [data], meanwhile=cut_for_a_while) == [data]


@pair
@pytest.mark.real_time_budget(60)
def test_a_link_that_goes_up_and_down_delays_a_conversation(network: Network, flavor: str) -> None:
    """Six times, for up to 3.2 s, while an echo of four clients is under way: it comes to its end, byte by byte."""
    sides = Sides(network, flavor)
    options: Options = {"size": 256, "clients": 4, "requests": 400, "mode": "concurrent", "timeout": 600}
    server, client = sides.serve("tcp-echo", **options), sides.ask("tcp-echo", **options)
    for down_s in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2):
        network.sleep(0.5)
        network.link(LINK).cut()
        network.sleep(down_s)
        network.link(LINK).restore()
    there, here = finish(server, client)
    assert there["received_bytes"] == here["received_bytes"] == 4 * 400 * 256
    assert here["duration_ns"] > 6.3e9


@pair
@pytest.mark.real_time_budget(60)
def test_datagrams_of_the_time_when_a_link_is_down_are_lost_and_counted(network: Network, flavor: str) -> None:
    sides = Sides(network, flavor, introduced=True)
    options: Options = {"size": 200, "requests": 200, "rate": 100}
    server, client = sides.serve("udp-push-pop", **options), sides.ask("udp-push-pop", **options)
    network.sleep(0.5)
    network.link(LINK).cut()
    network.sleep(0.5)
    network.link(LINK).restore()
    there, here = finish(server, client)
    up = to_server(sides)
    assert here["sent"] == 200
    assert there["received"] == len(up.intact) == 200 - there["lost"]
    assert 40 <= there["lost"] <= 60


@pair
@pytest.mark.real_time_budget(GIVES_UP_S)
def test_a_link_that_stays_down_ends_the_connection(network: Network, stream: Stream) -> None:
    assert stream.send(b"while it is up") == b"while it is up"
    network.link(LINK).cut()
    pop = stream.client.pop(stream.out)
    stream.client.wait(stream.client.push(stream.out, b"into the void"), LIMIT_S)
    assert outcome(lambda: stream.client.wait(pop, GIVES_UP_S)) in LOST
    assert outcome(lambda: stream.client.wait(stream.client.push(stream.out, b"x"), LIMIT_S)) in (*LOST, "EPIPE")


@pair
@pytest.mark.real_time_budget(GIVES_UP_S)
def test_keep_alive_finds_that_nobody_is_there(network: Network, stream: Stream) -> None:
    """Silence is no sign of death, but probes that nobody answers are: 2 h and 9 x 75 s (tcp(7))."""
    stream.client.setsockopt(stream.out, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    pop = stream.client.pop(stream.out)
    network.link(LINK).cut()
    start_s = network.now()
    assert outcome(lambda: stream.client.wait(pop, 10_000.0)) in LOST
    assert network.now() - start_s == pytest.approx(7200 + 9 * 75, rel=0.05)


@pair
@pytest.mark.real_time_budget(GIVES_UP_S)
def test_nobody_is_reached_over_a_link_that_is_down(network: Network, engines: Engines) -> None:
    engines.listener()
    network.link(LINK).cut()
    libos = engines.client
    connect = libos.connect(libos.socket(), (engines.server.address, 7000))
    assert outcome(lambda: libos.wait(connect, GIVES_UP_S)) in LOST
    network.link(LINK).restore()
    libos.wait(libos.connect(libos.socket(), (engines.server.address, 7000)), LIMIT_S)


@pair
@pytest.mark.real_time_budget(30)
def test_both_ways_at_once_over_a_bad_link(network: Network, stream: Stream) -> None:
    network.link(LINK).set(**FAULTS["all at once"])
    data = [pattern(20_000), pattern(20_000, 7)]
    assert carry([stream, stream.turned], data) == data
