# SPDX-License-Identifier: MIT
"""The backend whose networks Mininet builds, by its own API, on the host's kernel and in real time."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.backends import mininet_plan, namespaces, openvswitch
from testbed.backends.artifacts import find_agent, identify
from testbed.backends.base import Backend, BackendOptions, Recorder
from testbed.backends.child import Child
from testbed.backends.network import Network
from testbed.backends.recorders import NullRecorder
from testbed.errors import CapabilityError, DeadlineError, TestbedError
from testbed.scenarios.mininet_python import mininet_python

if TYPE_CHECKING:
    from testbed.backends.namespaces import Namespaces
    from testbed.scenarios.topology import Switch, Topology

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAMS = {
    "mnexec": "mininet",
    "brctl": "bridge-utils",
    "ifconfig": "net-tools",
    "ip": "iproute2",
    "ethtool": "ethtool",
    "nsenter": "util-linux",
}
_DRIVER = Path(__file__).with_name("mininet_driver.py")


class MininetBackend(Backend):
    """Mininet's hosts, links and switches (bridges, Open vSwitch), with the agent beside them; time is the host's.

    Mininet runs inside the agent's namespaces, so whatever it makes ends with the agent, and the agent with us,
    however that comes about; several networks, and a Mininet of the user's own, do not meet.
    """

    name = "mininet"
    virtual_time = False
    promises_identical_bits = False

    def capabilities(self, options: BackendOptions | None = None) -> frozenset[str]:
        """Ask an agent what the host's kernel can do, if Mininet is there."""
        _check_installed()
        return namespaces.capabilities(find_agent((options or BackendOptions()).agent))

    def up(
        self,
        topology: Topology,
        *,
        seed: int = 1,
        recorder: Recorder | None = None,
        options: BackendOptions | None = None,
    ) -> Network:
        """Let Mininet build the topology in fresh namespaces; see :meth:`Backend.up`."""
        given = options or BackendOptions()
        _check_installed()
        switches = switches_of(topology, given.switch)
        agent = find_agent(given.agent)
        session, place = namespaces.start(agent, recorder=recorder or NullRecorder(), options=given)

        def greet() -> dict[str, Any]:
            hello = namespaces.greeted(session)
            check_shapes(topology, hello["capabilities"])
            return hello

        try:
            session.send_hello([os.fspath(path) for path in given.shares])
            return Network(
                session,
                topology,
                backend=self.name,
                virtual_time=False,
                seed=seed,
                options=given,
                settle_ns=0,
                artifacts=identify(agent),
                greet=greet,
                arrange=lambda plan: _build(plan, switches, place, given.wall_limit_s),
            )
        except BaseException:
            session.close()
            raise


def check_shapes(topology: Topology, capabilities: list[str]) -> None:
    """Refuse what the host's kernel cannot do to a link before Mininet has built anything.

    Raises:
        CapabilityError: A link asks for what needs a queueing discipline that the kernel lacks.
    """
    for link in topology.links:
        for shape in link.shapes:
            only_rate = shape.changed(rate_bps=None).clean
            needed = "tbf" if only_rate else "netem"
            if not shape.clean and "netem" not in capabilities and needed not in capabilities:
                clean = {"rate_bps": None, "queue_packets": 1000, "delay_ms": 0.0}
                wanted = ", ".join(
                    f"{key}={value!r}" for key, value in shape.to_dict().items() if clean.get(key, 0) != value
                )
                raise CapabilityError(
                    f"link {link.name!r} asks for {wanted}: that needs {needed}, which this machine's kernel lacks",
                    hint="--backend timetravel has a kernel of its own that can",
                )


def switches_of(topology: Topology, all_are: Switch | None) -> dict[str, str]:
    """Choose what each switch is: a Linux bridge, unless it or the user asks for Open vSwitch.

    Args:
        topology: Its nodes say what they are, or leave it open.
        all_are: What all are instead.

    Returns:
        Name to ``bridge``, or to the datapath of an Open vSwitch: ``kernel`` or ``user``.

    Raises:
        CapabilityError: Open vSwitch is asked for, and cannot be had here.
    """
    wanted = {node.name: all_are or node.switch or "bridge" for node in topology.nodes if node.kind == "switch"}
    is_now: dict[str, str] = {"bridge": "bridge"}
    for kind in sorted(set(wanted.values()) - {"bridge"}):
        is_now[kind] = openvswitch.datapath(PATH, user=kind == "ovs-user")
    return {name: is_now[kind] for name, kind in wanted.items()}


def _check_installed() -> None:
    """Refuse a machine without Mininet or one of the programs that it runs."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program, path=PATH) is None:
            raise CapabilityError(
                f"the backend mininet needs the program {program!r}, which is not installed",
                hint=f"apt-get install -y {package}",
            )
    mininet_python()


def _build(plan: dict[str, Any], switches: dict[str, str], place: Namespaces, limit_s: float | None) -> None:
    """Have Mininet build a plan beside the agent, and change the plan into that of what is left to do.

    Raises:
        DeadlineError: It took longer than the network may live.
        TestbedError: Mininet failed; has its last words.
    """
    here, there = socket.socketpair()
    with here:
        try:
            driver = Child(
                [*_beside(place), str(mininet_python()), "-I", "-c", _DRIVER.read_text(encoding="utf-8")],
                env={"PATH": PATH, "HOME": os.fspath(place.scratch.path), "LC_ALL": "C.UTF-8"},
                fds={namespaces.CHANNEL_FD: there.fileno()},
                log=place.child.log,
            )
        finally:
            there.close()
        place.guests.append(driver)
        here.settimeout(limit_s)
        try:
            here.sendall(json.dumps(mininet_plan.for_mininet(plan, switches)).encode() + b"\n")
            answer = here.makefile("rb").readline()
        except TimeoutError as error:
            raise DeadlineError(f"Mininet was not done within {limit_s:g} s of wall time") from error
        except OSError:  # it ended before it had read its plan
            answer = b""
        if not answer:
            end = driver.end(wait_s=2.0)
            raise TestbedError(f"Mininet did not build the network ({end}); its last words:\n{driver.log_tail()}")
    mininet_plan.for_agent(plan, json.loads(answer))


def _beside(place: Namespaces) -> list[str]:
    """Give the words that put a command into the agent's namespaces.

    There are two user namespaces, one below the other, where a user started the agent: the outer one owns the PID
    namespace, and who is in the inner one already cannot join that any more (``user_namespaces(7)``).
    """
    enter = [str(shutil.which("nsenter", path=PATH)), "--user", "--preserve-credentials"]
    outer = [] if os.geteuid() == 0 else [*enter, f"--target={place.child.pid}", "--"]
    inner = ["--ipc", "--net", "--mount", "--uts", "--pid", f"--target={place.first_pid()}", "--"]
    return [*outer, *enter, *inner]
