# SPDX-License-Identifier: MIT
"""A transfer of a stream between two nodes by two programs, checked by the hash of its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.backends.node import Node
    from testbed.backends.process import Process

    Install = Callable[[Node, str], str]

PORT = 5000


@dataclass(frozen=True)
class Outcome:
    """What one side of a transfer prints at its end.

    Attributes:
        bytes: How many were sent or received.
        hash: Their hash.
        mptcp: Whether the connection was still Multipath TCP.
        extra_subflows: Subflows beside the first one at the end.
        seconds: How long it took, on the sender's side; 0 on the receiver's.
        congestion: The congestion control that the sender's socket had in the end; empty on the receiver's side.
    """

    bytes: int
    hash: str
    mptcp: bool
    extra_subflows: int
    seconds: float
    congestion: str

    @classmethod
    def parse(cls, line: str) -> Outcome:
        """Read a line of name=value."""
        found = fields(line)
        return cls(
            int(found["bytes"]),
            found["hash"],
            found["mptcp"] == "1",
            int(found["extra_subflows"]),
            float(found.get("seconds", 0)),
            found.get("congestion", ""),
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


def start(
    program: Install,
    client: Node,
    server: Node,
    target: str,
    *,
    protocol: str,
    listen: str,
    port: int = PORT,
    sender: Sequence[str] = (),
    receiver: Sequence[str] = (),
) -> Transfer:
    """Start a receiver, wait until it listens, and start a sender.

    Args:
        program: The fixture that puts a program into a node.
        client: Who sends.
        server: Who receives.
        target: Address that the sender connects to.
        protocol: ``tcp``, ``mptcp`` or ``sctp``.
        listen: Address that the receiver binds to.
        port: Where it listens.
        sender: More options of stream-sender.
        receiver: More options of stream-receiver.
    """
    argv = [program(server, "stream-receiver"), "--protocol", protocol, *receiver, listen, str(port)]
    listening = server.spawn(argv)
    server.wait_listen(port, protocol)
    argv = [program(client, "stream-sender"), "--protocol", protocol, *sender, target, str(port)]
    return Transfer(client.spawn(argv), listening)


def fields(line: str) -> dict[str, str]:
    """Read a program's line of name=value."""
    return dict(word.split("=") for word in line.split())
