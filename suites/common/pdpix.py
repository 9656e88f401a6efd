# SPDX-License-Identifier: MIT
"""Client and server of a workload on one LibOS: where they are, and what both of them say at their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scapy.layers.inet import TCP, UDP

from testbed.backends.workload import finish
from testbed.libos.library import find_library

if TYPE_CHECKING:
    from scapy.packet import Packet

    from testbed.backends.network import Network
    from testbed.backends.node import Node
    from testbed.backends.workload import Report, Workload

PORT = 7000
LINK = "h1-h2"


@dataclass(frozen=True)
class Sides:
    """The two sides of a workload on one LibOS, in the scenario ``pair``.

    Those that know no other node (pipes, loopback) are both in ``h1``.

    Args:
        network: The network.
        flavor: The LibOS.
    """

    network: Network
    flavor: str

    @property
    def alone(self) -> bool:
        """Whether both sides are on one node, and nothing is to be seen on the wire."""
        return not {"pipe", "loopback"}.isdisjoint(find_library(self.flavor).abilities)

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

    def serve(self, name: str, **options: object) -> Workload:
        """Start the server of a workload; it is ready when this returns."""
        return self.server.workload(name, libos=self.flavor, server=self._place(name), **options)

    def ask(self, name: str, **options: object) -> Workload:
        """Start the client of a workload."""
        return self.client.workload(name, libos=self.flavor, client=self._place(name), **options)

    def run(self, name: str, **options: object) -> tuple[Report, Report]:
        """Run both sides with the same options, to their ends; give the server's report and the client's.

        Raises:
            AssertionError: One side failed; with the words of both where both did.
        """
        server = self.serve(name, **options)
        client = self.ask(name, **options)
        there, here = finish(server, client)
        assert (there["error"], here["error"]) == (None, None)
        return there, here

    def segments(self) -> list[Packet]:
        """Give the TCP segments and UDP datagrams that either node received, in the order of time."""
        link = self.network.link(LINK)
        found = [packet for end in link.ends for packet in link.packets(end) if TCP in packet or UDP in packet]
        return sorted(found, key=lambda packet: float(packet.time))

    def _place(self, name: str) -> str:
        return "pipe" if name.startswith("pipe-") else f"{self.address}:{PORT}"
