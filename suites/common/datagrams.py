# SPDX-License-Identifier: MIT
"""UDP datagrams between client and server of a workload, counted on the wire: sent by one, come to the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from suites.common import ip_wire
from suites.common.pdpix import LINK, PORT

if TYPE_CHECKING:
    from suites.common.pdpix import Sides
    from testbed.backends.network import Network


_GROUP = 1  # in the first byte of a MAC address (IEEE 802, 8.2)
_IP_AT = 14  # in a frame
_PROTOCOL_AT = _IP_AT + 9
_UDP_AT = _IP_AT + 20  # nobody here sends options


@dataclass(frozen=True)
class Counted:
    """Datagrams of one direction.

    Attributes:
        sent: How many the sender's end of the link saw.
        came: The payload of each that the receiver's end saw, in the order of time.
        intact: Of those the ones that a receiver has to take: bit by bit as one that was sent, and for its MAC address
            or that of a group.
    """

    sent: int
    came: tuple[bytes, ...]
    intact: tuple[bytes, ...]


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

    return Counted(len(seen(sender)), tuple(seen(receiver)), _intact(sides.network, sender, receiver, port, port_at))


def _intact(network: Network, sender: str, receiver: str, port: bytes, port_at: int) -> tuple[bytes, ...]:
    """Give the payloads of those that came as they were sent.

    Nobody checks the sender's MAC address; a damaged one of the receiver's may be that of a group, which all listen to
    (Linux takes a datagram from there: its drop_unicast_in_l2_multicast is off).
    """
    own = (network[sender].interface(LINK).mac, network[receiver].interface(LINK).mac)
    target = bytes.fromhex(own[1].replace(":", ""))
    sent = {
        frame.data[_IP_AT - 2 :]
        for frame in network.link(LINK).frames(sender, own[0])
        if frame.data[_UDP_AT + port_at :].startswith(port) and frame.data[_PROTOCOL_AT] == ip_wire.UDP
    }
    return tuple(
        frame.data[_UDP_AT + 8 :]
        for frame in network.link(LINK).frames(receiver)
        if (frame.data.startswith(target) or frame.data[0] & _GROUP) and frame.data[_IP_AT - 2 :] in sent
    )
