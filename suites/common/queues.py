# SPDX-License-Identifier: MIT
"""Two engines of a LibOS and what connects them, for tests that make the calls of the queue API themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.backends.completion import LibOSError
from testbed.libos.library import find_library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.backends.completion import Completion, Token
    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network
    from testbed.backends.node import Node

PORT = 7000
PIPE = "suite"
LIMIT_S = 60.0
MOMENT_S = 0.01


@dataclass(frozen=True)
class Engines:
    """Two engines of one LibOS, each in a process of its own, in the scenario ``pair``.

    Those that know no other node (pipes, loopback) are both in ``h1``.

    Args:
        client: The first one.
        server: The second one.
    """

    client: LibOS
    server: LibOS

    @property
    def has_pipes(self) -> bool:
        """Whether they talk by pipes instead of sockets."""
        return "pipe" in self.client.abilities

    def listener(self, port: int = PORT, backlog: int = 16) -> int:
        """Make a listening queue of the server."""
        queue = self.server.socket()
        self.server.bind(queue, (self.server.address, port))
        self.server.listen(queue, backlog)
        return queue

    def connect(self, listener: int, port: int = PORT) -> Stream:
        """Connect a new queue of the client to a listener of the server."""
        accept = self.server.accept(listener)
        queue = self.client.socket()
        self.client.wait(self.client.connect(queue, (self.server.address, port)), LIMIT_S)
        accepted = self.server.wait(accept, LIMIT_S).accepted
        return Stream(self.client, queue, self.server, accepted)

    def stream(self) -> Stream:
        """Give two queues that are connected: sockets, or the ends of a pipe."""
        if self.has_pipes:
            made = self.server.create_pipe(PIPE)
            return Stream(self.client, self.client.open_pipe(PIPE), self.server, made)
        return self.connect(self.listener())


@dataclass(frozen=True)
class Stream:
    """Two connected queues.

    Args:
        client: The engine of the first one.
        out: The first one.
        server: The engine of the second one.
        back: The second one.
    """

    client: LibOS
    out: int
    server: LibOS
    back: int

    @property
    def turned(self) -> Stream:
        """The same, seen from the other side."""
        return Stream(self.server, self.back, self.client, self.out)

    def send(self, data: bytes) -> bytes:
        """Push data that buffers can hold, then pop as much; where it hangs, the case is ``timed out``."""
        self.client.wait(self.client.push(self.out, data))
        return self.take(len(data))

    def take(self, count: int, limit_s: float | None = None) -> bytes:
        """Pop at the server until so many bytes have come, or the end of the stream; ``limit_s`` is for each pop."""
        seen = b""
        while len(seen) < count:
            data = self.server.wait(self.server.pop(self.back), limit_s).data
            if not data:
                break
            seen += data
        return seen


def carry(
    ways: Sequence[Stream],
    data: Sequence[bytes],
    *,
    source: str = "libos",
    meanwhile: Callable[[], object] | None = None,
) -> list[bytes]:
    """Push data over each way at once, and pop it all at the other ends.

    Both sides are waited for in turn, for a moment each: a push that is larger than the buffers below goes on in waits
    only, where nothing drives a LibOS between them.

    Args:
        ways: Connected queues, each seen from the side that pushes.
        data: What is pushed over each of them.
        source: As of ``LibOS.push``.
        meanwhile: What is done once the pushes are under way.

    Returns:
        What was popped of each way: as many bytes as were pushed, less where the stream ended before.
    """
    pushes: list[Token | None] = [
        way.client.push(way.out, sent, source=source) for way, sent in zip(ways, data, strict=True)
    ]
    if meanwhile is not None:
        meanwhile()
    seen, ended = [b""] * len(ways), [False] * len(ways)
    pops: list[Token | None] = [None] * len(ways)
    while any(pushes) or not all(ended):
        for at, way in enumerate(ways):
            pushed = pushes[at]
            if pushed is not None and _is_done(way.client, pushed):
                pushes[at] = None
            if not ended[at]:
                pop = pops[at] = pops[at] or way.server.pop(way.back)
                popped = _in_a_moment(way.server, pop)
                if popped is not None:
                    pops[at] = None
                    seen[at] += popped.data
                    ended[at] = not popped.data or len(seen[at]) >= len(data[at])
    return seen


def _in_a_moment(libos: LibOS, token: Token) -> Completion | None:
    try:
        return libos.wait(token, MOMENT_S)
    except LibOSError as error:
        if error.completion is not None or error.errno_name != "ETIMEDOUT":
            raise
        return None


def _is_done(libos: LibOS, token: Token) -> bool:
    return _in_a_moment(libos, token) is not None


def knows_no_other_node(flavor: str) -> bool:
    """Say whether a LibOS reaches its own node only."""
    return not {"pipe", "loopback"}.isdisjoint(find_library(flavor).abilities)


def far_node(network: Network, flavor: str) -> Node:
    """Give the node of the second engine."""
    return network["h1" if knows_no_other_node(flavor) else "h2"]


def engines(network: Network, flavor: str) -> Engines:
    """Start two engines."""
    return Engines(network["h1"].libos(flavor), far_node(network, flavor).libos(flavor))


def outcome(call: Callable[[], object]) -> str:
    """Make a call, and give the name of the errno that it failed with, or ``done``."""
    try:
        call()
    except LibOSError as error:
        return error.errno_name
    return "done"


def pattern(count: int, start: int = 0) -> bytes:
    """Give bytes that repeat after 251, a prime, so that a block that is lost or moved is seen."""
    whole = bytes(range(251))
    offset = start % 251
    return (whole[offset:] + whole * (count // 251 + 1))[:count]
