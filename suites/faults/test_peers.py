# SPDX-License-Identifier: MIT
"""Peers that are killed, or stand still: who is left gets an errno or the end of the stream, and goes on living."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from suites.common.queues import LIMIT_S, PIPE, PORT, Engines, Stream, carry, far_node, outcome, pattern
from testbed.backends.completion import LibOSError

if TYPE_CHECKING:
    from testbed.backends.completion import Token
    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network

pytestmark = [pytest.mark.scenario("pair"), pytest.mark.flavors()]

GIVES_UP_S = 10_000.0
BIG = 4 << 20  # more than any buffer between two queues holds


def expected(libos: LibOS) -> set[str]:
    """Give what tells of a peer whose process was killed.

    Shared memory: ECONNRESET. A kernel closes what a process leaves: in order, or, with bytes unread, by a reset.
    A stack of a program's own dies with it, so that nobody answers any more, and time tells.
    """
    if "user-stack" in libos.abilities:
        return {"ETIMEDOUT", "EHOSTUNREACH"}
    if "udp" in libos.abilities:
        return {"end", "ECONNRESET", "EPIPE"}
    return {"ECONNRESET"}


def said(libos: LibOS, token: Token) -> str:
    """Wait for an operation; give its errno, ``end`` for the end of the stream, or ``done``."""
    try:
        done = libos.wait(token, GIVES_UP_S)
    except LibOSError as error:
        return error.errno_name
    return "end" if done.op == token.op and not done.data and token.op.name == "POP" else "done"


def probe(stream: Stream) -> None:
    """Let the peer's silence be noticed where nothing else would tell."""
    if "user-stack" in stream.client.abilities:
        stream.client.setsockopt(stream.out, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def long_for_a_stack(network: Network, libos: LibOS) -> None:
    if not network.virtual_time and "user-stack" in libos.abilities:
        pytest.skip(f"the silence of a dead peer takes {libos.flavor} up to 3 h, and this is real time")


def test_a_pop_ends_when_its_peer_is_killed(network: Network, stream: Stream) -> None:
    long_for_a_stack(network, stream.client)
    probe(stream)
    pop = stream.client.pop(stream.out)
    assert outcome(lambda: stream.client.wait(pop, 0.1)) == "ETIMEDOUT"
    stream.server.kill()
    assert said(stream.client, pop) in expected(stream.client)
    stream.client.close(stream.out)


def test_a_push_ends_when_its_peer_is_killed(network: Network, stream: Stream) -> None:
    long_for_a_stack(network, stream.client)
    push = stream.client.push(stream.out, pattern(BIG))
    assert outcome(lambda: stream.client.wait(push, 0.5)) == "ETIMEDOUT"  # the peer reads nothing
    stream.server.kill()
    assert said(stream.client, push) in expected(stream.client) | {"ECONNRESET"}
    assert outcome(lambda: stream.client.wait(stream.client.push(stream.out, b"x"), LIMIT_S)) != "done"


def test_what_was_popped_before_the_peer_was_killed_is_exact(network: Network, stream: Stream) -> None:
    long_for_a_stack(network, stream.client)
    probe(stream)
    data = pattern(3000)
    assert stream.turned.send(data[:1000]) == data[:1000]
    stream.server.push(stream.back, data[1000:])
    network.sleep(0.5)
    stream.server.kill()
    seen = b""
    while True:
        try:
            part = stream.client.wait(stream.client.pop(stream.out), GIVES_UP_S).data
        except LibOSError as error:
            ended = error.errno_name
            break
        if not part:
            ended = "end"
            break
        seen += part
    assert ended in expected(stream.client)
    assert data[1000:].startswith(seen)


def test_a_listener_that_was_killed_refuses(network: Network, engines: Engines) -> None:
    libos = engines.client
    if engines.has_pipes:
        pytest.skip(f"{libos.flavor} has no sockets")
    engines.listener()
    engines.server.kill()
    network.sleep(0.5)
    connect = libos.connect(libos.socket(), (engines.server.address, PORT))
    silent = {"ETIMEDOUT", "EHOSTUNREACH"} if "user-stack" in libos.abilities else set()
    assert outcome(lambda: libos.wait(connect, GIVES_UP_S)) in silent | {"ECONNREFUSED"}


def test_the_place_of_one_that_was_killed_is_free(network: Network, flavor: str, stream: Stream) -> None:
    """Its port, or the name of its pipe, can be had again at once, and the new connection works."""
    stream.server.kill()
    network.sleep(0.5)
    again = Engines(stream.client, far_node(network, flavor).libos(flavor))
    fresh = again.stream()
    assert fresh.send(pattern(5000)) == pattern(5000)
    assert fresh.turned.send(pattern(5000, 3)) == pattern(5000, 3)


def test_a_peer_that_stands_still_for_a_while_loses_nothing(network: Network, stream: Stream) -> None:
    assert stream.send(b"before") == b"before"
    stream.server.process.kill(signal.SIGSTOP)
    push = stream.client.push(stream.out, pattern(1000))
    outcome(lambda: stream.client.wait(push, 3.0))
    network.sleep(7.0)
    stream.server.process.kill(signal.SIGCONT)
    assert stream.take(1000) == pattern(1000)


def test_others_of_a_killed_peer_are_not_touched(network: Network, flavor: str, engines: Engines) -> None:
    """Of two connections of one engine, each with a peer of its own, one peer is killed."""
    libos = engines.client
    if "user-stack" in libos.abilities:
        pytest.skip("two stacks of their own cannot share the interface of h2")
    third = far_node(network, flavor).libos(flavor)
    streams = []
    for number, server in enumerate((engines.server, third)):
        both = Engines(libos, server)
        if both.has_pipes:
            made = server.create_pipe(f"{PIPE}{number}")
            streams.append(Stream(libos, libos.open_pipe(f"{PIPE}{number}"), server, made))
        else:
            streams.append(both.connect(both.listener(PORT + number), PORT + number))
    pops = [libos.pop(stream.out) for stream in streams]
    engines.server.kill()
    assert said(libos, pops[0]) in expected(libos)
    push = third.push(streams[1].back, b"alive")
    third.wait(push, LIMIT_S)
    assert libos.wait(pops[1], LIMIT_S).data == b"alive"


@pytest.mark.flavors("udp")
def test_datagrams_to_a_peer_that_was_killed_are_no_hang(network: Network, flavor: str, engines: Engines) -> None:
    """Pushes complete, a pop goes on or has a clear errno, and the queue still serves a peer that comes after."""
    libos, server = engines.client, engines.server
    place = (server.address, PORT)
    there, here = server.socket(kind=socket.SOCK_DGRAM), libos.socket(kind=socket.SOCK_DGRAM)
    server.bind(there, place)
    libos.bind(here, (libos.address, PORT))
    libos.wait(libos.pushto(here, b"alive", place), LIMIT_S)
    assert server.wait(server.pop(there), LIMIT_S).data == b"alive"
    server.kill()
    for _ in range(3):
        assert outcome(lambda: libos.wait(libos.pushto(here, b"dead", place), LIMIT_S)) in ("done", "ECONNREFUSED")
    pop = libos.pop(here)
    assert outcome(lambda: libos.wait(pop, 5.0)) in ("ETIMEDOUT", "ECONNREFUSED")
    again = far_node(network, flavor).libos(flavor)
    fresh = again.socket(kind=socket.SOCK_DGRAM)
    again.bind(fresh, place)
    libos.wait(libos.pushto(here, b"again", place), LIMIT_S)
    done = again.wait(again.pop(fresh), LIMIT_S)
    assert (done.data, done.address) == (b"again", (libos.address, PORT))


@pytest.mark.flavors("threads")
def test_two_instances_in_one_process(network: Network, flavor: str) -> None:
    """Two engines, each in a thread of its own: they talk to each other, and one ends while the other goes on."""
    first = network["h1"].libos(flavor)
    second = first.thread()
    stream = Engines(second, first).stream()
    data = [pattern(100_000), pattern(100_000, 9)]
    assert carry([stream, stream.turned], data) == data
    pop = first.pop(stream.back)
    second.stop()
    assert said(first, pop) in ("end", "ECONNRESET")
    third = first.thread()
    again = Engines(third, first)
    if again.has_pipes:
        made = first.create_pipe("again")
        fresh = Stream(third, third.open_pipe("again"), first, made)
    else:
        fresh = again.connect(again.listener(PORT + 1), PORT + 1)
    assert fresh.send(b"still here") == b"still here"
