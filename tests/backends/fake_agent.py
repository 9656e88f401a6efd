# SPDX-License-Identifier: MIT
"""An agent that plays from a script, for tests of the host's side without any kernel."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has no stubs

from testbed.errors import GuestCrashed, TestbedError

HELLO = {"version": 1, "release": "6.12.1", "machine": "x86_64", "capabilities": ["netem"], "agent": "0.1.0"}
Answer = Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]


def ok(now: int = 0, **fields: object) -> dict[str, Any]:
    return {"ok": fields, "now": now}


def err(kind: str, what: str, number: int | None = None, now: int = 0) -> dict[str, Any]:
    return {"err": {"kind": kind, "what": what, "errno": number}, "now": now}


def frame(message: dict[str, Any]) -> bytes:
    body: bytes = msgpack.packb(message)
    return struct.pack("<I", len(body)) + body


class FakePeer:
    """A peer whose patience is up to the test."""

    def __init__(self) -> None:
        self.closed = 0
        self.watched = 0
        self.raises: TestbedError | None = None

    def watch(self) -> float:
        """Raise what the test wants."""
        self.watched += 1
        if self.raises is not None:
            raise self.raises
        return 0.01

    def gone(self) -> TestbedError:
        """Say that it died."""
        return GuestCrashed("the fake guest died")

    def close(self) -> None:
        """Count."""
        self.closed += 1


@contextmanager
def agent(answer: Answer) -> Iterator[tuple[socket.socket, list[dict[str, Any]]]]:
    """Serve one end of a channel in a thread.

    Args:
        answer: Gives the messages for each request; bytes are sent as they are, and an empty list closes the channel.

    Yields:
        The host's end, and the requests so far.
    """
    here, there = socket.socketpair()
    requests: list[dict[str, Any]] = []

    def serve() -> None:
        with there, there.makefile("rb") as stream:
            while len(head := stream.read(4)) == 4:
                request = msgpack.unpackb(stream.read(struct.unpack("<I", head)[0]))
                requests.append(request)
                messages = answer(request)
                if not messages:
                    there.shutdown(socket.SHUT_RDWR)
                    return
                for message in messages:
                    there.sendall(message if isinstance(message, bytes) else frame(message))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield here, requests
    finally:
        here.close()
        thread.join(timeout=10)
        assert not thread.is_alive()
