# SPDX-License-Identifier: MIT
"""The backend on experiment nodes: one agent per node, started over ssh; links are the experiment's."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.backends.artifacts import find_agent, identify
from testbed.backends.base import Backend, BackendOptions, Recorder
from testbed.backends.cloudlab.fleet import Fleet
from testbed.backends.cloudlab.manifest import read_manifest
from testbed.backends.cloudlab.nodes import Nodes
from testbed.backends.cloudlab.problems import NodeLacks
from testbed.backends.cloudlab.remote import RemoteAgent
from testbed.backends.cloudlab.ssh import Access
from testbed.backends.cloudlab.variables import IDENTITY, KNOWN_HOSTS, MANIFEST, PATIENCE, TAKE_OVER, USER
from testbed.backends.network import Network
from testbed.backends.recorders import NullRecorder
from testbed.backends.scratch import Scratch
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from testbed.scenarios.layout import Interface
    from testbed.scenarios.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Where networks are brought up.

    Args:
        manifest: File with the experiment's manifest.
        access: How its nodes are entered.
        user: Log in as this user; None is whom the manifest names.
        take_over: End what others of testbed run there.
    """

    manifest: Path
    access: Access
    user: str | None = None
    take_over: bool = False

    @classmethod
    def from_environment(cls) -> Experiment:
        """Take what ``testbed cloudlab run`` has set, or the user.

        Raises:
            ConfigError: No manifest is named, or the patience is no number of seconds.
        """
        given = os.environ
        if not given.get(MANIFEST):
            hint = f"testbed cloudlab run --manifest FILE, or {MANIFEST}=FILE in the environment"
            raise ConfigError("the backend cloudlab needs the manifest of an experiment", hint=hint)
        known_hosts = Path(given.get(KNOWN_HOSTS) or Path.home() / ".ssh" / "known_hosts")
        identities = tuple(Path(word) for word in given.get(IDENTITY, "").split(os.pathsep) if word)
        access = Access(known_hosts=known_hosts, identities=identities, patience_s=_patience_s(given.get(PATIENCE)))
        take_over = bool(given.get(TAKE_OVER))
        return cls(manifest=Path(given[MANIFEST]), access=access, user=given.get(USER) or None, take_over=take_over)

    def to_environment(self) -> dict[str, str]:
        """Give the variables that :meth:`from_environment` reads; one that is empty counts as not set."""
        return {
            MANIFEST: os.fspath(self.manifest),
            KNOWN_HOSTS: os.fspath(self.access.known_hosts),
            IDENTITY: os.pathsep.join(os.fspath(path) for path in self.access.identities),
            USER: self.user or "",
            PATIENCE: repr(self.access.patience_s),
            TAKE_OVER: "1" if self.take_over else "",
        }

    def nodes(self, agent: Path, files: tuple[Path, ...] = ()) -> Nodes:
        """Give its nodes, to which nothing is connected yet."""
        return Nodes(read_manifest(self.manifest, user=self.user), self.access, agent, files)


def _patience_s(word: str | None) -> float:
    """Read the patience with nodes, s; nothing is the default.

    Raises:
        ConfigError: It is no number of seconds, or less than one.
    """
    try:
        found = float(word) if word else Access.patience_s
    except ValueError:
        found = 0.0
    if not 1 <= found < math.inf:
        raise ConfigError(f"{PATIENCE}: wanted seconds, 1 or more, found {word!r}", hint=f"{PATIENCE}=60, or unset it")
    return found


class CloudlabBackend(Backend):
    """The nodes of an experiment; time is real, so bits differ from execution to execution."""

    name = "cloudlab"
    virtual_time = False
    promises_identical_bits = False

    def __init__(self, experiment: Experiment | None = None) -> None:
        self._experiment = experiment
        self._kept: Nodes | None = None
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    def capabilities(self, options: BackendOptions | None = None) -> frozenset[str]:
        """Start an agent on every node that can be used, and ask what all of them can do.

        A node that is off is no reason to say nothing of the others: the cases that need it are errors anyhow.
        """
        nodes = self._nodes(options or BackendOptions())
        return _capabilities(self, nodes)

    def up(
        self,
        topology: Topology,
        *,
        seed: int = 1,
        recorder: Recorder | None = None,
        options: BackendOptions | None = None,
    ) -> Network:
        """Bring the topology up, each node on the machine of its name; see :meth:`Backend.up`.

        Raises:
            NodeError: A machine cannot be used now.
        """
        given = options or BackendOptions()
        nodes = self._nodes(given)
        names = [node.name for node in topology.nodes if node.kind != "switch"]
        absent = [name for name in names if name not in nodes.manifest.machines]
        if absent:
            raise NodeLacks(
                f"the scenario needs the nodes {', '.join(names)}; the manifest has no {', '.join(absent)}",
                hint="testbed cloudlab profile SCENARIO renders the experiment that a scenario needs",
            )
        fleet = self._start(nodes, names, recorder or NullRecorder(), given)
        try:
            network = Network(
                fleet,
                topology,
                backend=self.name,
                virtual_time=False,
                seed=seed,
                options=given,
                settle_ns=0,
                artifacts=identify(nodes.agent),
                greet=fleet.greet,
            )
        except BaseException:
            fleet.close()
            raise
        _take_addresses(network, fleet)
        return network

    def _nodes(self, options: BackendOptions) -> Nodes:
        if self._experiment is None:
            self._experiment = Experiment.from_environment()
        agent = find_agent(options.agent)
        program = agent / "agent" if agent.is_dir() else agent
        if self._kept is None or self._kept.agent != program:
            self._kept = self._experiment.nodes(program)  # a connection is worth keeping
        return self._kept

    def _start(self, nodes: Nodes, names: list[str], recorder: Recorder, options: BackendOptions) -> Fleet:
        """Start an agent on each machine; those of a start that fails are ended."""
        ready = nodes.ready(names)
        scratch = Scratch()
        network = f"{os.getpid()}-{secrets.token_hex(4)}"
        fleet = Fleet(nodes.manifest, recorder, scratch)
        try:
            for node in ready:
                fleet.add(
                    RemoteAgent(
                        node,
                        network=network,
                        owner=self._owner,
                        take_over=self._take_over,
                        recorder=recorder,
                        lock=fleet.recording,
                        log=scratch.path / f"{node.name}.log",
                        wall_limit_s=options.wall_limit_s,
                    )
                )
        except BaseException:
            fleet.close()
            raise
        return fleet

    @property
    def _take_over(self) -> bool:
        return self._experiment is not None and self._experiment.take_over


@functools.cache
def _capabilities_of(backend: CloudlabBackend, names: tuple[str, ...]) -> frozenset[str]:
    fleet = backend._start(backend._nodes(BackendOptions()), list(names), NullRecorder(), BackendOptions())  # noqa: SLF001
    try:
        return frozenset(fleet.greet()["capabilities"])
    finally:
        fleet.close()


def _capabilities(backend: CloudlabBackend, nodes: Nodes) -> frozenset[str]:
    return _capabilities_of(backend, tuple(nodes.usable()))


def _take_addresses(network: Network, fleet: Fleet) -> None:
    """Tell the network the Ethernet addresses that its interfaces really have: those of the NICs."""
    macs = {(cable.link, cable.end): cable.port.mac for part in fleet.parts.values() for cable in part.cables}

    def real(interface: Interface) -> Interface:
        mac = macs.get((interface.link, interface.end))
        return interface if mac is None else dataclasses.replace(interface, mac=mac)

    network.interfaces = tuple(real(interface) for interface in network.interfaces)
    for node in network.nodes.values():
        node.interfaces = tuple(real(interface) for interface in node.interfaces)
