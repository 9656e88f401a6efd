# SPDX-License-Identifier: MIT
"""The ghost's side of a TCP connection with a socket of the far node, segment by segment."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from scapy.layers.inet import TCP

from suites.common.by_hand import PORT, Hand

if TYPE_CHECKING:
    from suites.common.ghost import Ghost
    from testbed.backends.sockets import RemoteSocket

ROUND_TRIP_S = 0.21  # a little more than there and back over the suite's cable
ANSWER_S = 1.0


class HandTcp(Hand):
    """The ghost's side of a connection to port 5000 of the far node.

    Args:
        ghost: Who it is.
        version: IP version.
    """

    def __init__(self, ghost: Ghost, version: int) -> None:
        super().__init__(ghost, version, ANSWER_S)
        self._listener: RemoteSocket | None = None

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
