# SPDX-License-Identifier: MIT
"""The ghost's side of a TCP connection with a LibOS, segment by segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scapy.layers.inet import TCP

from suites.common.by_hand import GHOST_PORT, PORT, Hand
from suites.stack.scenario import WAIT_S

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.completion import Token
    from testbed.backends.libos import LibOS


class HandTcp(Hand):
    """The ghost's side of a connection with a LibOS, which speaks IPv4.

    Args:
        ghost: Who it is.
        libos: Whom it talks to, at port 5000 where that one listens.
    """

    def __init__(self, ghost: Ghost, libos: LibOS) -> None:
        super().__init__(ghost, 4, WAIT_S)
        self.libos = libos

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
