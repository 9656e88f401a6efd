# SPDX-License-Identifier: MIT
"""The two hosts of the suite: their addresses by path, their path managers, and a checked transfer between them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suites.mptcp import mptcp_wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from suites.mptcp.mptcp_wire import Segment
    from testbed.backends.network import Network
    from testbed.backends.node import Node
    from testbed.backends.process import Process

    Install = Callable[[Node, str], str]

PORT = 5000


class Path(enum.StrEnum):
    """A path, by the router that it leads over."""

    ONE = "r1"
    TWO = "r2"


@dataclass(frozen=True)
class Outcome:
    """What one side of a transfer prints at its end.

    Attributes:
        bytes: How many were sent or received.
        hash: Their hash.
        mptcp: Whether the connection was still Multipath TCP.
        extra_subflows: Subflows beside the first one at the end.
        seconds: How long it took, on the sender's side; 0 on the receiver's.
    """

    bytes: int
    hash: str
    mptcp: bool
    extra_subflows: int
    seconds: float

    @classmethod
    def parse(cls, line: str) -> Outcome:
        """Read a line of name=value."""
        found = dict(word.split("=") for word in line.split())
        return cls(
            int(found["bytes"]),
            found["hash"],
            found["mptcp"] == "1",
            int(found["extra_subflows"]),
            float(found.get("seconds", 0)),
        )

    @property
    def goodput_bps(self) -> float:
        """Bits of payload per second."""
        return self.bytes * 8 / self.seconds


@dataclass(frozen=True)
class Transfer:
    """A transfer that runs: both programs."""

    sender: Process
    receiver: Process

    def finish(self, *, timeout: float = 120.0) -> tuple[Outcome, Outcome]:
        """Wait for both ends and check that all bytes arrived; give what sender and receiver print."""
        sent = Outcome.parse(self.sender.wait(timeout).check().stdout)
        received = Outcome.parse(self.receiver.wait(10.0).check().stdout)
        assert received.bytes == sent.bytes > 0
        assert received.hash == sent.hash
        return sent, received


@dataclass(frozen=True)
class Hosts:
    """The client ``h1`` and the server ``h2``, and how they are joined over ``r1`` and ``r2``.

    Attributes:
        network: The network, of scenario two_path.
        program: The fixture that puts a program into a node.
        version: IP version of all addresses.
    """

    network: Network
    program: Install
    version: int

    @property
    def client(self) -> Node:
        """The host that connects."""
        return self.network["h1"]

    @property
    def server(self) -> Node:
        """The host that is connected to."""
        return self.network["h2"]

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
            options: Of mptcp-sender: ``--bytes N`` or ``--seconds S``, ``--rate BPS``, ``--tcp``.
            path: The first subflow's.
            receiver: Options of mptcp-receiver.
            port: Where it listens.
        """
        target = self.server_address(path)
        everywhere = "0.0.0.0" if self.version == 4 else "::"  # joins come to other addresses than the first subflow
        listening = self.server.spawn([self.program(self.server, "mptcp-receiver"), *receiver, everywhere, str(port)])
        self.server.wait_listen(port)
        argv = [self.program(self.client, "mptcp-sender"), "--from", self.client_address(path), *options]
        return Transfer(self.client.spawn([*argv, target, str(port)]), listening)

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
