# SPDX-License-Identifier: MIT
"""Socket options: what is set is what is read, and what the peer sees of it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from suites.common.queues import LIMIT_S, outcome

if TYPE_CHECKING:
    from suites.common.queues import Engines, Stream

pytestmark = [pytest.mark.scenario("pair"), pytest.mark.flavors("tcp")]

FLAGS = {
    "nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
}


def test_flags_are_read_as_they_were_set(stream: Stream) -> None:
    libos = stream.client
    for level, name in FLAGS.values():
        told = []
        for value in (None, 1, 0, 7):
            if value is not None:
                libos.setsockopt(stream.out, level, name, value)
            told.append(int.from_bytes(libos.getsockopt(stream.out, level, name, 16), "little"))
        assert told == [0, 1, 0, 1]


def test_linger_is_read_as_it_was_set(stream: Stream) -> None:
    libos = stream.client
    told = [libos.getsockopt(stream.out, socket.SOL_SOCKET, socket.SO_LINGER, 8)]
    for wanted in ((1, 30), (1, 0), (0, 0)):
        libos.setsockopt(stream.out, socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *wanted))
        told.append(libos.getsockopt(stream.out, socket.SOL_SOCKET, socket.SO_LINGER, 8))
    assert [struct.unpack("ii", value) for value in told] == [(0, 0), (1, 30), (1, 0), (0, 0)]


def test_linger_of_zero_resets_the_peer(stream: Stream) -> None:
    libos = stream.client
    libos.setsockopt(stream.out, socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pop = stream.server.pop(stream.back)
    libos.close(stream.out)
    assert outcome(lambda: stream.server.wait(pop, LIMIT_S)) == "ECONNRESET"


def test_close_with_unread_bytes_resets_the_peer(stream: Stream) -> None:
    """They are lost, and the peer must know it (RFC 2525, section 2.17)."""
    stream.server.wait(stream.server.push(stream.back, b"unread"), LIMIT_S)
    waiting = stream.server.pop(stream.back)
    assert outcome(lambda: stream.server.wait(waiting, 0.5)) == "ETIMEDOUT"  # so that the bytes have arrived
    stream.client.close(stream.out)
    assert outcome(lambda: stream.server.wait(waiting, LIMIT_S)) == "ECONNRESET"


def test_peers_know_each_other(engines: Engines) -> None:
    """The address of an accept is that of the peer; both ends can ask for it."""
    listener = engines.listener()
    accept = engines.server.accept(listener)
    queue = engines.client.socket()
    engines.client.bind(queue, (engines.client.address, 5000))
    engines.client.wait(engines.client.connect(queue, (engines.server.address, 7000)), LIMIT_S)
    done = engines.server.wait(accept, LIMIT_S)
    assert done.address == (engines.client.address, 5000)
    assert engines.server.getpeername(done.accepted) == (engines.client.address, 5000)
    assert engines.client.getpeername(queue) == (engines.server.address, 7000)
