# SPDX-License-Identifier: MIT
"""UDP datagrams between client and server of a workload, counted on the wire: sent by one, come to the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from suites.common import ip_wire
from suites.common.pdpix import LINK, PORT

if TYPE_CHECKING:
    from suites.common.pdpix import Sides


@dataclass(frozen=True)
class Counted:
    """Datagrams of one direction.

    Attributes:
        sent: How many the sender's end of the link saw.
        came: The payload of each that the receiver's end saw, in the order of time.
    """

    sent: int
    came: tuple[bytes, ...]


def to_server(sides: Sides) -> Counted:
    """Count what the client sent to the server."""
    return _count(sides, str(sides.client.name), str(sides.server.name), port_at=2)


def to_client(sides: Sides) -> Counted:
    """Count what the server sent to the client."""
    return _count(sides, str(sides.server.name), str(sides.client.name), port_at=0)


def _count(sides: Sides, sender: str, receiver: str, *, port_at: int) -> Counted:
    source = sides.network[sender].address()
    port = PORT.to_bytes(2)

    def seen(end: str) -> list[bytes]:
        found = ip_wire.packets(sides.network, LINK, end, ip_wire.UDP)
        bodies = [packet.body for packet in found if packet.source == source]
        return [body[8:] for body in bodies if body[port_at : port_at + 2] == port]

    return Counted(len(seen(sender)), tuple(seen(receiver)))
