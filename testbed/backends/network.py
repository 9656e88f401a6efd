# SPDX-License-Identifier: MIT
"""A live network: the thing that a test holds in its hands."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Self

from testbed.backends import forgotten
from testbed.backends.link import Link
from testbed.backends.node import Node
from testbed.backends.plan import make_plan
from testbed.backends.process import Completed, Process, ProcessFailed, ProcessTimeout
from testbed.backends.sockets import RemoteSocket
from testbed.errors import ConfigError, TestbedError, near_misses
from testbed.scenarios import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from testbed.backends.base import BackendOptions
    from testbed.backends.session import Session
    from testbed.scenarios.topology import Topology

__all__ = [
    "EPOCH_NS",
    "Completed",
    "Link",
    "Network",
    "Node",
    "Process",
    "ProcessFailed",
    "ProcessTimeout",
    "RemoteSocket",
]

_NS = 1_000_000_000

EPOCH_NS = 1_704_067_200 * _NS
"""Nanoseconds since 1970 of t = 0 in captures, on every backend: 2024-01-01T00:00:00Z."""

Injection = tuple[float | None, str, str, str, Any]
"""When (seconds of the network's clock, None is now), link, node at the end, ``to`` or ``from``, and the frame."""


class Network:
    """A topology that is up on some backend; a context manager that takes it down.

    Args:
        session: The conversation with the agent.
        topology: What to bring up.
        backend: The backend's name.
        virtual_time: Whether the network's clock stands still while the test thinks.
        seed: The network's seed.
        options: The backend's options.
        settle_ns: Nanoseconds from boot to t = 0.
        artifacts: Name of the kernel's (where it is ours) and the agent's artifact to the SHA-256 of its program.
        greet: Gives the agent's answer to the greeting; called when the plan is made: meanwhile the agent gets ready.
        arrange: Gets the plan before the agent does, and may change it: for a backend where others build, too.

    Raises:
        CapabilityError: The kernel lacks something that the topology needs.
        OSError: The kernel refused something else.
    """

    def __init__(
        self,
        session: Session,
        topology: Topology,
        *,
        backend: str,
        virtual_time: bool,
        seed: int,
        options: BackendOptions,
        settle_ns: int,
        artifacts: Mapping[str, str],
        greet: Callable[[], Mapping[str, Any]],
        arrange: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.session = session
        self.topology = topology
        self.backend = backend
        self.virtual_time = virtual_time
        self.seed = seed
        self.options = options
        self.artifacts = dict(artifacts)
        self.live = True
        self.installed: set[tuple[str, str]] = set()  # programs and libraries, once for all nodes that share files
        self._numbers = itertools.count(1)
        interfaces = self.interfaces = layout.interfaces(topology)
        session.ends = [(str(link.name), link.ends) for link in topology.links]
        plan = make_plan(topology, interfaces, seed=seed, options=options, settle_ns=settle_ns)
        record = {"topology": topology.digest(), "seed": seed, "capture": plan["capture"]}
        hello = greet()
        self.release = str(hello["release"])
        self.capabilities = frozenset(hello["capabilities"])
        if arrange is not None:
            arrange(plan)
        session.call("up", record=record, plan=plan)
        self.epoch_ns = EPOCH_NS
        owned: dict[str, list[layout.Interface]] = {node.name: [] for node in topology.nodes}
        for interface in interfaces:
            owned[interface.node].append(interface)
        self.nodes = {node.name: Node(self, node.name, node.kind, owned[node.name]) for node in topology.nodes}
        self.links = {str(link.name): Link(self, index) for index, link in enumerate(topology.links)}
        self._forgotten = forgotten.close_when_forgotten(self, session)

    def __repr__(self) -> str:
        return f"<Network of {len(self.nodes)} nodes on {self.backend}, {'up' if self.live else 'down'}>"

    def __getitem__(self, name: str) -> Node:
        if name not in self.nodes:
            raise ConfigError(f"the network has no node {name!r}; {near_misses(name, self.nodes)}")
        return self.nodes[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.down()
        else:  # the first error is the one to show
            with contextlib.suppress(TestbedError, OSError):
                self.down()

    @property
    def died(self) -> TestbedError | None:
        """What ended the far side before its time, also where a test has caught it; None where nothing did."""
        return self.session.died

    def link(self, name: str) -> Link:
        """Give a link by its name; ``b-a`` is accepted for ``a-b``."""
        turned = "-".join(reversed(name.split("-"))) if name.count("-") == 1 else name
        for found in (name, turned):
            if found in self.links:
                return self.links[found]
        raise ConfigError(f"the network has no link {name!r}; {near_misses(name, self.links) or 'it has none'}")

    def now(self) -> float:
        """Give the time in seconds of the network's clock."""
        if not self.virtual_time:
            self.session.ask_quietly("sleep", until=0)
        return self.session.now_ns / _NS

    def sleep(self, seconds: float) -> None:
        """Let time pass, for a number of seconds of the network's clock."""
        self.sleep_until(self.now() + seconds)

    def sleep_until(self, time: float) -> None:
        """Let time pass until the network's clock shows ``time`` seconds; a time that is past returns at once."""
        self.session.call("sleep", until=round(time * _NS))

    def inject(self, frames: Iterable[Injection]) -> None:
        """Put frames on wires at exact times, in the background; times already past are at once.

        Args:
            frames: For each frame: when (seconds, or None for now), name of the link, name of the node at the end,
                ``to`` (delivered to that node) or ``from`` (as if that node had sent it, through the impairments),
                and the frame from the Ethernet header on, as bytes or as a scapy packet.

        Raises:
            ConfigError: No such link, end or direction.
        """
        wanted = []
        for at, link, node, direction, frame in frames:
            if direction not in ("to", "from"):
                raise ConfigError(f"a frame goes 'to' a node or 'from' it, not {direction!r}")
            index, end = self.link(link).end_of(node)
            at_ns = max(self.session.now_ns, 0) if at is None else round(at * _NS)
            wanted.append([at_ns, index, end, direction, bytes(frame)])
        self.session.call("inject", frames=wanted)

    def down(self) -> None:
        """Take the network down, after what is left of processes and captures is recorded; again it does nothing.

        Of a guest that died before nothing is left to fetch: :attr:`died` says how.

        Raises:
            GuestCrashed: The guest dies on the way down; its log is in the message.
        """
        if self.live:
            self.live = False
            forgotten.keep(self._forgotten)
            self.session.down()

    def next_process(self) -> int:
        """Give the number of the next process, from 1."""
        return next(self._numbers)
