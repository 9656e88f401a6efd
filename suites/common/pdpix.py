# SPDX-License-Identifier: MIT
"""Client and server of a workload on one LibOS: where they are, and what both of them say at their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, Unpack

from testbed.backends.workload import finish
from testbed.libos.library import find_library

if TYPE_CHECKING:
    from suites.common.connections import Connection
    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network
    from testbed.backends.node import Node
    from testbed.backends.workload import Report, Workload

PORT = 7000
LINK = "h1-h2"


class Options(TypedDict, total=False):
    """What both sides of a workload are told; ``testbed workload help`` says what each is."""

    size: int
    requests: int
    clients: int
    mode: str
    threads: int
    closes: str
    operation: str
    how: str
    rate: int
    idle: float
    retry: float
    timeout: float


@dataclass(frozen=True)
class Sides:
    """The two sides of a conversation on one LibOS, in the scenario ``pair``.

    Those of a LibOS that knows no other node (pipes, loopback) are both in ``h1``.

    Attributes:
        network: The network.
        flavor: The LibOS.
        introduced: Whether they know each other's MAC address from the start, so that no link loses a question for it.
    """

    network: Network
    flavor: str
    introduced: bool = False

    @property
    def alone(self) -> bool:
        """Whether both sides are on one node, so that nothing may be seen on the wire."""
        return not {"pipe", "loopback"}.isdisjoint(find_library(self.flavor).abilities)

    @property
    def has_stack(self) -> bool:
        """Whether its TCP/IP stack is its own, and ends with its process."""
        return "user-stack" in find_library(self.flavor).abilities

    @property
    def client(self) -> Node:
        """The node of the client."""
        return self.network["h1"]

    @property
    def server(self) -> Node:
        """The node of the server."""
        return self.network["h1" if self.alone else "h2"]

    @property
    def address(self) -> str:
        """The server's IPv4 address, as the client knows it."""
        return "127.0.0.1" if self.alone else self.server.address()

    def delay(self, delay_s: float) -> float:
        """Give the link a delay in virtual time, where it costs nothing and is exact.

        Returns:
            The delay that it has now, in seconds; 0 in real time, where a host may not even be able to.
        """
        if not self.network.virtual_time:
            return 0.0
        self.network.link(LINK).set(delay_ms=delay_s * 1000)
        return delay_s

    def engines(self) -> tuple[LibOS, LibOS]:
        """Start an engine on each side, in processes of their own; give the client's and the server's."""
        return self.client.libos(self.flavor), self.server.libos(self.flavor)

    def serve(self, name: str, **options: Unpack[Options]) -> Workload:
        """Start the server of a workload; it is ready when this returns."""
        config = self._neighbour(self.server, self.client)
        return self.server.workload(name, libos=self.flavor, server=self._place(name), config=config, **options)

    def ask(self, name: str, **options: Unpack[Options]) -> Workload:
        """Start the client of a workload."""
        config = self._neighbour(self.client, self.server)
        return self.client.workload(name, libos=self.flavor, client=self._place(name), config=config, **options)

    def run(self, name: str, **options: Unpack[Options]) -> tuple[Report, Report]:
        """Run both sides with the same options to their ends; give the server's report and the client's.

        Raises:
            AssertionError: A side failed; with the words of both where both did.
        """
        server = self.serve(name, **options)
        client = self.ask(name, **options)
        there, here = finish(server, client)
        assert (there["role"], here["role"]) == ("server", "client")
        assert (there["error"], here["error"]) == (None, None)
        return there, here

    def check_carried(self, connection: Connection, *, up: int, down: int) -> None:
        """Check what a connection carried on the wire, in bytes to the server and back, and that nobody broke it off.

        A stack that ends with its process may have closed, and its peer not yet: then nobody will be there to
        acknowledge the peer's FIN, so its last word behind its own FIN is a reset, and the peer sends none.
        """
        client, server = connection.client, connection.server
        for half, peer, wanted in ((client, server, up), (server, client, down)):
            assert not (half.broken if self.has_stack else half.resets)
            if not (self.has_stack and peer.resets and half.end is None):
                assert half.stream_bytes == wanted

    def _neighbour(self, node: Node, other: Node) -> dict[str, object] | None:
        """Tell a node's kernel who the other is, or give the configuration that tells a stack."""
        if not self.introduced:
            return None
        address, mac = other.address(), other.interface(LINK).mac
        if self.has_stack:
            return {"inetstack": {"arp_table": {address: mac}}}
        own = node.interface(LINK).name
        node.run(["ip", "neighbour", "replace", address, "lladdr", mac, "dev", own, "nud", "permanent"])
        return None

    def _place(self, name: str) -> str:
        return "pipe" if name.startswith("pipe-") else f"{self.address}:{PORT}"
