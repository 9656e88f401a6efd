# SPDX-License-Identifier: MIT
"""The two hosts of the suite: connections and transfers between them, and what is seen of these on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM
from typing import TYPE_CHECKING

from suites.common import ip_wire, tcp_wire, transfer
from suites.common.hosts import TwoHosts
from suites.common.transfer import PORT, Transfer, fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from suites.common.ip_wire import Packet
    from suites.common.tcp_wire import Segment
    from testbed.backends.node import Node
    from testbed.backends.sockets import RemoteSocket

DISCARD_PORT = 9
FOREVER_MS = 86_400_000

SocketOption = tuple[int, int, int | bytes]


@dataclass(frozen=True)
class Hosts(TwoHosts):
    """The client ``h1`` and the server ``h2``, on one cable or with routers between them."""

    @property
    def family(self) -> int:
        """The address family of all sockets."""
        return AF_INET if self.version == 4 else AF_INET6

    @property
    def client_address(self) -> str:
        """The client's address."""
        return self.client.address(self.version)

    @property
    def server_address(self) -> str:
        """The server's address."""
        return self.server.address(self.version)

    def link_of(self, node: Node) -> str:
        """Give the name of a host's link."""
        return str(self.network.topology.links[node.interfaces[0].link].name)

    def meet(self) -> None:
        """Let both know each other's MAC addresses, for as long as the test takes.

        So no transfer depends on whether a question of ARP was lost, and no time-out of hours on asking again.
        """
        for node in self.network.nodes.values():
            for kind in ("ipv4", "ipv6"):
                for interface in node.interfaces:
                    sysctl(node, f"net.{kind}.neigh.{interface.name}.base_reachable_time_ms", FOREVER_MS)
        with (
            self.open(self.client, SOCK_DGRAM) as asks,
            self.open(self.server, SOCK_DGRAM) as answers,
        ):
            answers.bind((self.server_address, DISCARD_PORT))
            asks.sendto(b"?", (self.server_address, DISCARD_PORT))
            answers.sendto(b"!", answers.recvfrom(1)[1])
            asks.recv(1)

    def open(self, node: Node, kind: int = SOCK_STREAM, protocol: int = 0) -> RemoteSocket:
        """Make a socket in a node, TCP unless something else is asked for."""
        return node.socket(self.family, kind, protocol)

    def listen(
        self,
        port: int = PORT,
        *,
        options: Sequence[SocketOption] = (),
        kind: int = SOCK_STREAM,
        protocol: int = 0,
    ) -> RemoteSocket:
        """Let the server listen on a port."""
        listener = self.open(self.server, kind, protocol)
        for option in options:
            listener.setsockopt(*option)
        listener.bind((self.server_address, port))
        listener.listen()
        return listener

    def connect(
        self,
        *,
        port: int = PORT,
        client: Sequence[SocketOption] = (),
        server: Sequence[SocketOption] = (),
        kind: int = SOCK_STREAM,
        protocol: int = 0,
    ) -> tuple[RemoteSocket, RemoteSocket]:
        """Connect client and server.

        Args:
            port: The server's.
            client: Options of the client's socket: level, name and value of each.
            server: Options of the socket that listens, which the accepted one takes over.
            kind: Type of the sockets.
            protocol: Their protocol.

        Returns:
            The client's and the server's socket.
        """
        listener = self.listen(port, options=server, kind=kind, protocol=protocol)
        connecting = self.open(self.client, kind, protocol)
        for option in client:
            connecting.setsockopt(*option)
        connecting.connect((self.server_address, port))
        accepted, _ = listener.accept()
        listener.close()
        return connecting, accepted

    def start(
        self, protocol: str, nbytes: int, *, port: int = PORT, sender: Sequence[str] = (), receiver: Sequence[str] = ()
    ) -> Transfer:
        """Start the transfer of a stream from client to server; arguments as for ``transfer.start``."""
        return transfer.start(
            self.program,
            self.client,
            self.server,
            self.server_address,
            protocol=protocol,
            listen=self.server_address,
            port=port,
            sender=["--bytes", str(nbytes), *sender],
            receiver=receiver,
        )

    def datagrams(
        self, protocol: str, count: int, *, sender: Sequence[str] = (), receiver: Sequence[str] = (), port: int = PORT
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Send numbered datagrams from client to server; give what both programs print at their end."""
        argv = [self.program(self.server, "datagram-receiver"), "--protocol", protocol, *receiver]
        receiving = self.server.spawn([*argv, self.server_address, str(port)])
        self.server.wait_listen(port, protocol)
        argv = [self.program(self.client, "datagram-sender"), "--protocol", protocol, "--count", str(count), *sender]
        sent = self.client.run([*argv, self.server_address, str(port)], timeout=300.0)
        return fields(sent.stdout), fields(receiving.wait(300.0).check().stdout)

    def black_hole(self, *, on: bool = True) -> None:
        """Lose all that is sent towards the server from now on, or lose nothing again."""
        link = self.network.link(self.link_of(self.server))
        link.set(toward="h2", loss_ratio=1.0 if on else 0.0)

    def at_client(self) -> list[Segment]:
        """Give the TCP segments as the client sees them: what it sent, before any loss, and what reached it."""
        return tcp_wire.segments(self.network, self.link_of(self.client), "h1")

    def at_server(self) -> list[Segment]:
        """Give the TCP segments as the server sees them."""
        return tcp_wire.segments(self.network, self.link_of(self.server), "h2")

    def sent_by_client(self) -> list[Segment]:
        """Give the TCP segments that the client sent, in the order of time."""
        return [segment for segment in self.at_client() if segment.source == self.client_address]

    def packets_at(self, end: str, protocol: int) -> list[Packet]:
        """Give the packets of a protocol at a host's end of its link."""
        return ip_wire.packets(self.network, self.link_of(self.network[end]), end, protocol)


def sysctl(node: Node, name: str, value: object) -> None:
    """Set a sysctl of a node."""
    node.write(f"/proc/sys/{name.replace('.', '/')}", f"{value}\n")
