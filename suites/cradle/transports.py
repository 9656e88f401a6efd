# SPDX-License-Identifier: MIT
"""The five transports of the suite: how a source and a sink get their sockets, and how long a packet is on the wire."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from testbed.backends.sockets import IPPROTO_DCCP, IPPROTO_SCTP, SOCK_DCCP, SOL_DCCP

if TYPE_CHECKING:
    from testbed.backends.node import Node
    from testbed.backends.sockets import RemoteSocket

PORT = 5000
EXPERIMENT = 253  # an IP protocol that nobody owns, RFC 3692
DCCP_SOCKOPT_SERVICE = 2  # include/uapi/linux/dccp.h; both sides must name the same service
SERVICE_CODE = struct.pack("!I", 0x74657374)  # "test"
IP_HEADER = {4: 20, 6: 40}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True)
class Transport:
    """One way to carry packets.

    Args:
        name: What the case is called.
        kind: Type of its sockets.
        protocol: Number of its protocol, 0 for the kind's own.
        connects: Whether a sink listens and a source shakes hands with it.
    """

    name: str
    kind: int
    protocol: int = 0
    connects: bool = False

    def sink(self, node: Node, version: int, port: int = PORT) -> RemoteSocket:
        """Make a socket in a node that counts all that comes to its address."""
        sock = self._socket(node, version)
        sock.bind((node.address(version), self._port(port)))
        if self.connects:
            sock.listen()
        sock.sink()
        return sock

    def source(self, node: Node, target: Node, version: int, port: int = PORT) -> RemoteSocket:
        """Make a socket in a node that is connected to the sink of another."""
        sock = self._socket(node, version)
        sock.connect((target.address(version), self._port(port)))
        return sock

    def received_bytes(self, packet_bytes: int, version: int) -> int:
        """Give how many bytes a sink reads of a packet: a raw IPv4 socket reads the IP header, too (raw(7))."""
        return packet_bytes + (IP_HEADER[4] if self.kind == socket.SOCK_RAW and version == 4 else 0)

    def _socket(self, node: Node, version: int) -> RemoteSocket:
        sock = node.socket(FAMILY[version], self.kind, self.protocol)
        if self.protocol == IPPROTO_DCCP:
            sock.setsockopt(SOL_DCCP, DCCP_SOCKOPT_SERVICE, SERVICE_CODE)
        return sock

    def _port(self, port: int) -> int:
        return 0 if self.kind == socket.SOCK_RAW else port


RAW = Transport("raw", socket.SOCK_RAW, EXPERIMENT)
UDP = Transport("udp", socket.SOCK_DGRAM)
TCP = Transport("tcp", socket.SOCK_STREAM, connects=True)
DCCP = Transport("dccp", SOCK_DCCP, IPPROTO_DCCP, connects=True)
SCTP = Transport("sctp", socket.SOCK_STREAM, IPPROTO_SCTP, connects=True)
TRANSPORTS = (RAW, UDP, TCP, DCCP, SCTP)
NEEDS = {"dccp": pytest.mark.requires("dccp"), "sctp": pytest.mark.requires("sctp")}

all_transports = pytest.mark.parametrize(
    "transport",
    [pytest.param(item, id=item.name, marks=NEEDS.get(item.name, ())) for item in TRANSPORTS],
)
