# SPDX-License-Identifier: MIT
"""The ghost's side of a TCP connection, driven segment by segment (RFC 9293)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scapy.layers.inet import TCP
from scapy.packet import Raw

if TYPE_CHECKING:
    from suites.common.ghost import Ghost

PORT, GHOST_PORT = 5000, 40_000
FIRST = 1_000_000  # the ghost's initial sequence number
WINDOW = 20_000


class Hand:
    """Nothing is sent by itself: the test says every segment.

    ``sequence`` and ``acknowledged`` are what the next one carries.

    Args:
        ghost: Who it is.
        version: IP version.
        wait_s: How long :meth:`say` listens for an answer where the test does not say.
    """

    def __init__(self, ghost: Ghost, version: int, wait_s: float) -> None:
        self.ghost = ghost
        self.version = version
        self.wait_s = wait_s
        self.sequence = FIRST
        self.acknowledged = 0
        self.window = WINDOW
        self.port = PORT  # of the other side

    def segment(self, flags: str, data: bytes = b"", **fields: Any) -> Any:
        """Make a segment with the current numbers; ``fields`` are of scapy's ``TCP`` (``seq``, ``options``, ...)."""
        numbers = {"seq": self.sequence, "ack": self.acknowledged if "A" in flags else 0, "window": self.window}
        header = TCP(sport=GHOST_PORT, dport=self.port, flags=flags, **{**numbers, **fields})
        return self.ghost.ip(self.version) / header / Raw(data) if data else self.ghost.ip(self.version) / header

    def say(
        self, flags: str, data: bytes = b"", *, at: float | None = None, wait: float | None = None, **fields: Any
    ) -> list[Any]:
        """Send a segment, count what it takes of the sequence, and give what came back in ``wait`` seconds."""
        segment = self.segment(flags, data, **fields)
        if "seq" not in fields:
            self.sequence += len(data) + sum(flag in flags for flag in "SF")
        return self.ghost.ask(segment, at=at, wait=self.wait_s if wait is None else wait)


def payload(frame: Any) -> bytes:
    """Give the bytes that a TCP segment carries, without the padding of a short frame."""
    ip = frame.payload
    length = ip.len - ip.ihl * 4 if ip.version == 4 else ip.plen
    return bytes(frame[TCP].payload)[: length - frame[TCP].dataofs * 4]


def option(frame: Any, name: str) -> Any:
    """Give the value of a TCP option by scapy's name for it, or None."""
    return dict(frame[TCP].options).get(name)
