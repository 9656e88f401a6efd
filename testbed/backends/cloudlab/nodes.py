# SPDX-License-Identifier: MIT
"""The nodes of an experiment, ready for networks: connected, checked, and with what is needed in their stores."""

from __future__ import annotations

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.backends.cloudlab import facts as facts_
from testbed.backends.cloudlab import store
from testbed.backends.cloudlab.problems import NodeError
from testbed.backends.cloudlab.ssh import Connection
from testbed.backends.cloudlab.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testbed.backends.cloudlab.facts import Facts
    from testbed.backends.cloudlab.manifest import Machine, Manifest
    from testbed.backends.cloudlab.ssh import Access

_TRIES = 2  # at a node that does not let us in, before it counts as gone
_AGAIN_S = 30.0  # after which one that is gone is asked again, for it may have come back
_SHORT_S = 10.0
_SILENT = frozenset({"no answer", "slow node", "connection lost"})


@dataclass
class ReadyNode:
    """A node that was let in and checked.

    Args:
        connection: To it.
        facts: What it said.
        store: Its store.
        agent: The agent's program, which is there.
        fresh: Whether no network was made over this connection yet: what runs there in our name is of a lost one.
    """

    connection: Connection
    facts: Facts
    store: Store
    agent: Path
    fresh: bool = True

    @property
    def name(self) -> str:
        """Its name in the manifest."""
        return self.connection.machine.name


@dataclass
class Nodes:
    """The nodes of one experiment; connections are made when first needed, and kept.

    Args:
        manifest: The experiment.
        access: How its nodes are entered.
        agent: The agent's program.
        files: What else every node gets: LibOSes, and the program that they live in.
    """

    manifest: Manifest
    access: Access
    agent: Path
    files: tuple[Path, ...] = ()
    _ready: dict[str, ReadyNode] = field(default_factory=dict)
    _lost: dict[str, tuple[int, float, NodeError]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ready(self, names: Iterable[str]) -> list[ReadyNode]:
        """Give nodes that are ready; one whose connection was lost is entered again, but not for ever.

        Raises:
            NodeError: The first, by the order of names, that is not, and why.
        """
        wanted = list(names)
        with ThreadPoolExecutor(max_workers=max(len(wanted), 1)) as pool:
            futures = [pool.submit(self._one, self.manifest.machines[name]) for name in wanted]
        return [future.result() for future in futures]

    def _one(self, machine: Machine) -> ReadyNode:
        found = self._ready.get(machine.name)
        if found is not None and found.connection.alive:
            return found
        failures, asked, why = self._lost.get(machine.name, (0, 0.0, None))
        if why is not None and failures >= _TRIES and time.monotonic() - asked < _AGAIN_S:
            if why.verdict not in _SILENT:
                raise NodeError(why.node, why.verdict, why.detail, hint=why.hint)
            detail = f"{machine.host} port {machine.port} did not let us in {failures} times in a row"
            raise NodeError(machine.name, "gone", detail, hint="testbed cloudlab run --resume RUN, when it is back")
        try:
            ready = self._enter(machine, self.access if not failures else self._impatient)
        except NodeError as error:
            self._lost[machine.name] = (failures + 1, time.monotonic(), error)
            raise
        self._lost.pop(machine.name, None)
        with self._lock:
            self._ready[machine.name] = ready
        return ready

    def usable(self) -> list[str]:
        """Give the names of the nodes that can be used now, in the order of the manifest.

        Raises:
            NodeError: None can; the first one's trouble.
        """

        def one(machine: Machine) -> NodeError | None:
            try:
                self._one(machine)
            except NodeError as error:
                return error
            return None

        machines = list(self.manifest.machines.values())
        with ThreadPoolExecutor(max_workers=len(machines)) as pool:
            troubles = list(pool.map(one, machines))
        found = [machine.name for machine, trouble in zip(machines, troubles, strict=True) if trouble is None]
        first = next((trouble for trouble in troubles if trouble is not None), None)
        if first is not None and not found:
            raise first
        return found

    @property
    def _impatient(self) -> Access:
        """How a node is entered that has not let us in before: every case that needs it waits for this."""
        return dataclasses.replace(self.access, patience_s=min(self.access.patience_s, _SHORT_S))

    def _enter(self, machine: Machine, access: Access) -> ReadyNode:
        """Connect to a node, check it, and send it what it lacks."""
        connection = Connection(machine, access)
        try:
            facts = facts_.ask(connection, make=True)
            kept = Store(connection, facts)
            facts.demand(space=bool(kept.missing(self._needed)))
            kept.put(self._needed)
        except BaseException:
            connection.close()
            raise
        return ReadyNode(connection, facts, kept, self.agent)

    @property
    def _needed(self) -> tuple[Path, ...]:
        return (store.script(), self.agent, *self.files)

    def look(self) -> dict[str, Facts | NodeError]:
        """Ask all nodes what they are; sends nothing but questions, and changes nothing there."""

        def one(machine: Machine) -> Facts | NodeError:
            try:
                connection = Connection(machine, self.access)
                try:
                    return facts_.ask(connection)
                finally:
                    connection.close()
            except NodeError as error:
                return error

        machines = list(self.manifest.machines.values())
        with ThreadPoolExecutor(max_workers=len(machines)) as pool:
            return {machine.name: found for machine, found in zip(machines, pool.map(one, machines), strict=True)}

    def clean(self) -> dict[str, NodeError | None]:
        """Remove all that testbed has ever left on the nodes, and end what runs there; gives what failed."""

        def one(machine: Machine) -> NodeError | None:
            try:
                connection = Connection(machine, self.access)
                try:
                    path = store.store_path(machine.user)
                    done = connection.run(["sh", "-s", "--", "clean", path], stdin=store.script().read_bytes())
                finally:
                    connection.close()
            except NodeError as error:
                return error
            return NodeError(machine.name, "not clean", done.stderr.strip()) if done.status else None

        machines = list(self.manifest.machines.values())
        with ThreadPoolExecutor(max_workers=len(machines)) as pool:
            return {machine.name: found for machine, found in zip(machines, pool.map(one, machines), strict=True)}

    def close(self) -> None:
        """Close all connections."""
        for node in self._ready.values():
            node.connection.close()
        self._ready.clear()
