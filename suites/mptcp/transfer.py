# SPDX-License-Identifier: MIT
"""The two hosts of the suite: their addresses by path, their path managers, and a checked transfer between them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suites.common import transfer
from suites.common.hosts import TwoHosts
from suites.common.transfer import PORT, Outcome, Transfer
from suites.mptcp import mptcp_wire

if TYPE_CHECKING:
    from suites.mptcp.mptcp_wire import Segment
    from testbed.backends.node import Node

__all__ = ["PORT", "Hosts", "Outcome", "Path", "Transfer"]


class Path(enum.StrEnum):
    """A path, by the router that it leads over."""

    ONE = "r1"
    TWO = "r2"


@dataclass(frozen=True)
class Hosts(TwoHosts):
    """The client ``h1`` and the server ``h2``, and how they are joined over ``r1`` and ``r2``."""

    def client_address(self, path: Path) -> str:
        """Give the client's address on a path."""
        return self.client.address(self.version, f"h1-{path}")

    def server_address(self, path: Path) -> str:
        """Give the server's address on a path."""
        return self.server.address(self.version, f"{path}-h2")

    def limits(self, *, subflows: int = 2, accepted: int = 2) -> None:
        """Set how many subflows both path managers open, and how many announced addresses they use (ip-mptcp(8))."""
        for node in (self.client, self.server):
            words = ["subflows", str(subflows), "add_addr_accepted", str(accepted)]
            node.run(["ip", "mptcp", "limits", "set", *words])

    def use_both_paths(self) -> None:
        """Let the server announce its address on path two, so that the client joins it over that path."""
        self.limits()
        self.announce(Path.TWO)

    def repeat_announcements_after(self, seconds: int) -> None:
        """Let the server repeat an announcement without echo after some seconds, not after two minutes (sysctl)."""
        self.server.run(["sysctl", "-w", f"net.mptcp.add_addr_timeout={seconds}"])

    def announce(self, path: Path) -> None:
        """Let the server announce its address on a path to its peers."""
        self.endpoint(self.server, self.server_address(path), "signal")

    def endpoint(self, node: Node, address: str, *flags: str) -> None:
        """Tell a node's path manager of an address and what it is for."""
        node.run(["ip", "mptcp", "endpoint", "add", address, *flags])

    def endpoint_id(self, node: Node, address: str) -> int:
        """Give the number that a node's path manager uses for an address."""
        lines = node.run(["ip", "mptcp", "endpoint", "show"]).stdout.splitlines()
        words = next(line.split() for line in lines if line.split()[0] == address)
        return int(words[words.index("id") + 1])

    def remove_endpoint(self, node: Node, address: str) -> None:
        """Take an address from a node's path manager: peers are told, its subflows are closed."""
        node.run(["ip", "mptcp", "endpoint", "delete", "id", str(self.endpoint_id(node, address))])

    def start(self, *options: str, path: Path = Path.ONE, receiver: tuple[str, ...] = (), port: int = PORT) -> Transfer:
        """Start a transfer from client to server whose first subflow takes a path.

        Args:
            options: Of stream-sender: ``--bytes N`` or ``--seconds S``, ``--rate BPS``, ``--protocol tcp``.
            path: The first subflow's.
            receiver: Options of stream-receiver.
            port: Where it listens.
        """
        return transfer.start(
            self.program,
            self.client,
            self.server,
            self.server_address(path),
            protocol="mptcp",
            listen="0.0.0.0" if self.version == 4 else "::",  # joins come to other addresses than the first subflow
            port=port,
            sender=["--from", self.client_address(path), *options],
            receiver=receiver,
        )

    def send(
        self, *options: str, path: Path = Path.ONE, receiver: tuple[str, ...] = (), port: int = PORT
    ) -> tuple[Outcome, Outcome]:
        """Start a transfer and wait for its end; arguments as for start()."""
        return self.start(*options, path=path, receiver=receiver, port=port).finish()

    def at_client(self, path: Path) -> list[Segment]:
        """Give the segments of a path as the client sees them: what it sent, before any loss, and what reached it."""
        return mptcp_wire.segments(self.network, f"h1-{path}", "h1")

    def at_server(self, path: Path) -> list[Segment]:
        """Give the segments of a path as the server sees them."""
        return mptcp_wire.segments(self.network, f"{path}-h2", "h2")
