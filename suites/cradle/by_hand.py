# SPDX-License-Identifier: MIT
"""One side of a TCP connection, driven segment by segment (RFC 9293)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from scapy.layers.inet import TCP
from scapy.packet import Raw

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.sockets import RemoteSocket

PORT, GHOST_PORT = 5000, 40_000
FIRST = 1_000_000  # the ghost's initial sequence number
WINDOW = 20_000
ROUND_TRIP_S = 0.21  # a little more than there and back over the suite's cable


class HandTcp:
    """The ghost's side of a connection to port 5000 of the far node.

    Nothing is sent by itself: the test says every segment. ``sequence`` and ``acknowledged`` are what the next one
    carries.

    Args:
        ghost: Who it is.
        version: IP version.
    """

    def __init__(self, ghost: Ghost, version: int) -> None:
        self.ghost = ghost
        self.version = version
        self.sequence = FIRST
        self.acknowledged = 0
        self.window = WINDOW
        self._listener: RemoteSocket | None = None

    def segment(self, flags: str, data: bytes = b"", **fields: Any) -> Any:
        """Make a segment with the current numbers; ``fields`` are of scapy's ``TCP`` (``seq``, ``options``, ...)."""
        numbers = {"seq": self.sequence, "ack": self.acknowledged if "A" in flags else 0, "window": self.window}
        header = TCP(sport=GHOST_PORT, dport=PORT, flags=flags, **{**numbers, **fields})
        return self.ghost.ip(self.version) / header / Raw(data) if data else self.ghost.ip(self.version) / header

    def say(
        self, flags: str, data: bytes = b"", *, at: float | None = None, wait: float = 1.0, **fields: Any
    ) -> list[Any]:
        """Send a segment, count what it takes of the sequence, and give the frames that came back."""
        segment = self.segment(flags, data, **fields)
        if "seq" not in fields:
            self.sequence += len(data) + sum(flag in flags for flag in "SF")
        return self.ghost.ask(segment, at=at, wait=wait)

    def listen(self) -> RemoteSocket:
        """Make a listening socket at the far node."""
        family = socket.AF_INET if self.version == 4 else socket.AF_INET6
        self._listener = self.ghost.far.socket(family, socket.SOCK_STREAM)
        self._listener.bind(("", PORT))
        self._listener.listen()
        return self._listener

    def open(self, **fields: Any) -> RemoteSocket:
        """Shake hands with a listener at the far node, and give the socket that it accepts."""
        listener = self._listener or self.listen()
        [answer] = self.say("S", wait=ROUND_TRIP_S, **fields)
        self.acknowledged = answer[TCP].seq + 1
        assert self.say("A") == []
        accepted, _ = listener.accept()
        return accepted


def payload(frame: Any) -> bytes:
    """Give the bytes that a TCP segment carries."""
    return bytes(frame[TCP].payload)


def option(frame: Any, name: str) -> Any:
    """Give the value of a TCP option by scapy's name for it, or None."""
    return dict(frame[TCP].options).get(name)
