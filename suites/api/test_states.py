# SPDX-License-Identifier: MIT
"""Every function in every state that a socket can be in: what is refused, with which errno, and what goes."""

from __future__ import annotations

import itertools
import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest

from suites.common.queues import LIMIT_S, PIPE, PORT, Engines, outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network

pytestmark = [pytest.mark.scenario("pair")]
sockets = pytest.mark.flavors("tcp")
datagrams = pytest.mark.flavors("udp")
pipes = pytest.mark.flavors("pipe")

SILENT = "10.0.1.99"  # an address of the link that nobody has


class Sockets:
    """Queues of the client in a state that is asked for, a new one each time.

    Args:
        engines: The two engines.
    """

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self.libos = engines.client
        self.ports = itertools.count(PORT + 1)
        self.listener = engines.listener()

    def fresh(self) -> int:
        """Give a stream socket as it was made."""
        return self.libos.socket()

    def bound(self) -> int:
        """Give one with a local address."""
        queue = self.libos.socket()
        self.libos.bind(queue, (self.libos.address, next(self.ports)))
        return queue

    def listening(self) -> int:
        """Give one that takes connections."""
        queue = self.bound()
        self.libos.listen(queue)
        return queue

    def connecting(self) -> int:
        """Give one whose peer has not answered, and will not for some time."""
        host, port = SILENT, 80
        if "loopback" in self.libos.abilities:  # nobody there is silent, but a backlog may be full
            host, port = self.libos.address, next(self.ports)
            full = self.engines.listener(port, backlog=1)
            assert full
            first = self.libos.socket()
            self.libos.wait(self.libos.connect(first, (host, port)), LIMIT_S)
        queue = self.libos.socket()
        token = self.libos.connect(queue, (host, port))
        assert outcome(lambda: self.libos.wait(token, 0.1)) == "ETIMEDOUT"
        return queue

    def connected(self) -> int:
        """Give one that is connected."""
        return self.engines.connect(self.listener).out

    def left(self) -> int:
        """Give one whose peer has closed."""
        stream = self.engines.connect(self.listener)
        stream.server.close(stream.back)
        done = stream.client.wait(stream.client.pop(stream.out), LIMIT_S)
        assert done.data == b""
        return stream.out

    def closed(self) -> int:
        """Give the number of one that was closed."""
        queue = self.connected()
        self.libos.close(queue)
        return queue

    def table(self, call: Callable[[int], object]) -> dict[str, str]:
        """Make a call in each state; give what came of it."""
        states = (self.fresh, self.bound, self.listening, self.connecting, self.connected, self.left, self.closed)
        return {state.__name__: outcome(partial(call, state())) for state in states}


@pytest.fixture
def every(engines: Engines) -> Sockets:
    """Give sockets in every state."""
    return Sockets(engines)


def row(outcomes: str) -> dict[str, str]:
    """Name the columns of a table; what is closed is EBADF for every function.

    Args:
        outcomes: Of the states fresh, bound, listening, connecting, connected and left, in this order.
    """
    states = ("fresh", "bound", "listening", "connecting", "connected", "left", "closed")
    return dict(zip(states, [*outcomes.split(), "EBADF"], strict=True))


def any_port(libos: LibOS) -> tuple[str, int]:
    return (libos.address, 0)


@sockets
def test_bind_in_every_state(every: Sockets) -> None:
    found = every.table(lambda queue: every.libos.bind(queue, any_port(every.libos)))
    assert found == row("done EINVAL EINVAL EINVAL EINVAL EINVAL")


@sockets
def test_listen_in_every_state(every: Sockets) -> None:
    found = every.table(every.libos.listen)
    assert found == row("EDESTADDRREQ done EADDRINUSE EADDRINUSE EISCONN EISCONN")


@sockets
def test_accept_in_every_state(every: Sockets) -> None:
    assert every.table(every.libos.accept) == row("EINVAL EINVAL done EINVAL EINVAL EINVAL")


@sockets
def test_connect_in_every_state(every: Sockets) -> None:
    server = (every.engines.server.address, PORT - 1)
    every.engines.listener(PORT - 1)  # one of its own: nobody accepts these
    found = every.table(lambda queue: every.libos.wait(every.libos.connect(queue, server), LIMIT_S))
    assert found == row("done done ENOTSUP EINPROGRESS EISCONN EISCONN")


@sockets
def test_close_in_every_state(every: Sockets) -> None:
    assert every.table(every.libos.close) == row("done done done done done done")


@sockets
def test_push_in_every_state(every: Sockets) -> None:
    found = every.table(lambda queue: every.libos.wait(every.libos.push(queue, b"x"), LIMIT_S))
    del found["left"]  # test_pushing_to_a_peer_that_has_closed_fails_soon
    expected = row("ENOTCONN ENOTCONN ENOTCONN ENOTCONN done done")
    del expected["left"]
    assert found == expected


@sockets
def test_pushing_to_a_peer_that_has_closed_fails_soon(network: Network, every: Sockets) -> None:
    """The peer's answer to the first bytes is a reset; where both are on one node the first push may know already."""
    queue, libos, said = every.left(), every.libos, list[str]()
    while (not said or said[-1] == "done") and len(said) < 5:
        said.append(outcome(lambda: libos.wait(libos.push(queue, b"x"), LIMIT_S)))
        network.sleep(0.1)
    assert said[:-1] == ["done"] * (len(said) - 1)
    assert said[-1] in ("EPIPE", "ECONNRESET")
    assert len(said) <= 2


@sockets
def test_pushto_in_every_state(every: Sockets) -> None:
    found = every.table(lambda queue: every.libos.pushto(queue, b"x", (every.engines.server.address, 9)))
    assert found == row("ENOTCONN ENOTCONN ENOTCONN ENOTCONN EISCONN EISCONN")


@sockets
def test_pop_in_every_state(every: Sockets) -> None:
    assert every.table(every.libos.pop) == row("ENOTCONN ENOTCONN ENOTCONN ENOTCONN done done")


@sockets
def test_getpeername_in_every_state(every: Sockets) -> None:
    found = every.table(every.libos.getpeername)
    assert found == row("ENOTCONN ENOTCONN ENOTCONN ENOTCONN done done")


@sockets
def test_options_in_every_state(every: Sockets) -> None:
    """They may be set and read in any."""

    def both(queue: int) -> None:
        every.libos.setsockopt(queue, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        value = every.libos.getsockopt(queue, socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert int.from_bytes(value, "little") == 1

    assert every.table(both) == row("done done done done done done")


@sockets
def test_an_address_is_taken_once(engines: Engines) -> None:
    libos = engines.client
    first, second = libos.socket(), libos.socket()
    there = (libos.address, 5000)
    libos.bind(first, there)
    assert outcome(lambda: libos.bind(second, there)) == "EADDRINUSE"
    libos.listen(first)
    assert outcome(lambda: libos.bind(second, there)) == "EADDRINUSE"
    libos.close(first)
    libos.bind(second, there)
    libos.listen(second)


@sockets
def test_a_socket_that_was_refused_connects_later(engines: Engines) -> None:
    """After a failure it is what it was: bound to the same address, and good for another attempt."""
    libos, there = engines.client, (engines.server.address, PORT)
    queue = libos.socket()
    libos.bind(queue, (libos.address, 5000))
    refused = libos.connect(queue, there)
    assert outcome(lambda: libos.wait(refused, LIMIT_S)) == "ECONNREFUSED"
    assert outcome(lambda: libos.bind(queue, (libos.address, 5001))) == "EINVAL"
    listener = engines.listener()
    accept = engines.server.accept(listener)
    libos.wait(libos.connect(queue, there), LIMIT_S)
    done = engines.server.wait(accept, LIMIT_S)
    assert done.address == (libos.address, 5000)


@datagrams
def test_datagram_sockets_in_every_state(engines: Engines) -> None:
    libos, there = engines.client, (engines.server.address, 9)
    ports = itertools.count(5000)

    def made(*, bound: bool = False, connected: bool = False) -> int:
        queue = libos.socket(kind=socket.SOCK_DGRAM)
        if bound:
            libos.bind(queue, (libos.address, next(ports)))
        if connected:
            libos.wait(libos.connect(queue, there), LIMIT_S)
        return queue

    def sent() -> int:
        queue = made()
        libos.wait(libos.pushto(queue, b"x", there), LIMIT_S)
        return queue

    states: dict[str, Callable[[], int]] = {
        "fresh": made,
        "bound": lambda: made(bound=True),
        "connected": lambda: made(connected=True),
        "sent": sent,
    }
    calls: dict[str, Callable[[int], object]] = {
        "bind": lambda queue: libos.bind(queue, (libos.address, next(ports))),
        "listen": libos.listen,
        "accept": libos.accept,
        "connect": lambda queue: libos.wait(libos.connect(queue, there), LIMIT_S),
        "push": lambda queue: libos.wait(libos.push(queue, b"x"), LIMIT_S),
        "pushto": lambda queue: libos.wait(libos.pushto(queue, b"x", there), LIMIT_S),
        "pop": libos.pop,
        "getpeername": libos.getpeername,
        "close": libos.close,
    }
    found = {
        call: " ".join(outcome(partial(make, state())) for state in states.values()) for call, make in calls.items()
    }
    assert found == {
        "bind": "done EINVAL EINVAL EINVAL",
        "listen": "ENOTSUP ENOTSUP ENOTSUP ENOTSUP",
        "accept": "ENOTSUP ENOTSUP ENOTSUP ENOTSUP",
        "connect": "done done done done",
        "push": "EDESTADDRREQ EDESTADDRREQ done EDESTADDRREQ",
        "pushto": "done done done done",
        "pop": "ENOTCONN done done done",
        "getpeername": "ENOTCONN ENOTCONN done ENOTCONN",
        "close": "done done done done",
    }


@pipes
def test_pipes_in_every_state(engines: Engines) -> None:
    libos, there = engines.client, ("10.0.1.2", 80)
    names = (f"{PIPE}{number}" for number in itertools.count())

    def created() -> int:
        return libos.create_pipe(next(names))

    def opened() -> int:
        name = next(names)
        assert engines.server.create_pipe(name)
        return libos.open_pipe(name)

    def closed() -> int:
        queue = created()
        libos.close(queue)
        return queue

    calls: dict[str, Callable[[int], object]] = {
        "bind": lambda queue: libos.bind(queue, there),
        "listen": libos.listen,
        "accept": libos.accept,
        "connect": lambda queue: libos.connect(queue, there),
        "pushto": lambda queue: libos.pushto(queue, b"x", there),
        "setsockopt": lambda queue: libos.setsockopt(queue, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        "getsockopt": lambda queue: libos.getsockopt(queue, socket.IPPROTO_TCP, socket.TCP_NODELAY),
        "getpeername": libos.getpeername,
        "push": lambda queue: libos.wait(libos.push(queue, b"x"), LIMIT_S),
        "pop": libos.pop,
        "close": libos.close,
    }
    found = {
        call: " ".join(outcome(partial(make, state())) for state in (created, opened, closed))
        for call, make in calls.items()
    }
    no_socket = dict.fromkeys(list(calls)[:8], "ENOTSOCK ENOTSOCK EBADF")
    assert found == {**no_socket, "push": "done done EBADF", "pop": "done done EBADF", "close": "done done EBADF"}
