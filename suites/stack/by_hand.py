# SPDX-License-Identifier: MIT
"""The ghost's side of a TCP connection with a LibOS, segment by segment (RFC 9293)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scapy.layers.inet import TCP
from scapy.packet import Raw

from suites.stack.scenario import WAIT_S

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.completion import Token
    from testbed.backends.libos import LibOS

PORT, GHOST_PORT = 5000, 40_000
FIRST = 1_000_000  # the ghost's initial sequence number
WINDOW = 20_000


class HandTcp:
    """Nothing is sent by itself: the test says every segment.

    ``sequence`` and ``acknowledged`` are what the next one carries.

    Args:
        ghost: Who it is.
        libos: Whom it talks to, at port 5000 where that one listens.
    """

    def __init__(self, ghost: Ghost, libos: LibOS) -> None:
        self.ghost = ghost
        self.libos = libos
        self.sequence = FIRST
        self.acknowledged = 0
        self.window = WINDOW
        self.port = PORT  # of the LibOS

    def segment(self, flags: str, data: bytes = b"", **fields: Any) -> Any:
        """Make a segment with the current numbers; ``fields`` are of scapy's ``TCP`` (``seq``, ``options``, ...)."""
        numbers = {"seq": self.sequence, "ack": self.acknowledged if "A" in flags else 0, "window": self.window}
        header = TCP(sport=GHOST_PORT, dport=self.port, flags=flags, **{**numbers, **fields})
        return self.ghost.ip(4) / header / Raw(data) if data else self.ghost.ip(4) / header

    def say(self, flags: str, data: bytes = b"", *, wait: float = WAIT_S, **fields: Any) -> list[Any]:
        """Send a segment, count what it takes of the sequence, and give what came back in ``wait`` seconds."""
        segment = self.segment(flags, data, **fields)
        if "seq" not in fields:
            self.sequence += len(data) + sum(flag in flags for flag in "SF")
        return self.ghost.ask(segment, wait=wait)

    def listen(self) -> int:
        """Make the LibOS listen."""
        queue = self.libos.socket()
        self.libos.bind(queue, (self.libos.address, PORT))
        self.libos.listen(queue)
        return queue

    def open(self, **fields: Any) -> int:
        """Shake hands with a listener of the LibOS, and give the queue that it accepts."""
        accept = self.libos.accept(self.listen())
        [answer] = self.say("S", **fields)
        self.acknowledged = answer[TCP].seq + 1
        assert self.say("A") == []
        return self.libos.wait(accept, 1.0).accepted

    def called(self, *, wait: float = WAIT_S) -> tuple[int, Token, list[Any]]:
        """Let the LibOS connect to the ghost; give its queue, the token, and the SYNs that came in ``wait`` seconds."""
        queue = self.libos.socket()
        token = self.libos.connect(queue, (self.ghost.addresses[4], GHOST_PORT))
        asked = self.ghost.ask(wait=wait)
        self.port = asked[0][TCP].sport
        self.acknowledged = asked[0][TCP].seq + 1
        return queue, token, asked


def payload(frame: Any) -> bytes:
    """Give the bytes that a TCP segment carries, without the padding of a short frame."""
    ip = frame.payload
    return bytes(frame[TCP].payload)[: ip.len - ip.ihl * 4 - frame[TCP].dataofs * 4]


def option(frame: Any, name: str) -> Any:
    """Give the value of a TCP option by scapy's name for it, or None."""
    return dict(frame[TCP].options).get(name)
