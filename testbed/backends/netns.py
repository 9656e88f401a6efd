# SPDX-License-Identifier: MIT
"""The backend on the host's own kernel: namespaces, in real time, for root and for users who may make them."""

from __future__ import annotations

import functools
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from testbed.agent.protocol import AgentGone
from testbed.backends.artifacts import find_agent, identify
from testbed.backends.base import Backend, BackendOptions, Recorder
from testbed.backends.child import Child
from testbed.backends.network import Network
from testbed.backends.recorders import NullRecorder
from testbed.backends.scratch import Scratch
from testbed.backends.session import Session
from testbed.errors import CapabilityError, DeadlineError, GuestCrashed

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.scenarios.topology import Topology

_CHANNEL_FD = 3
_ASK_S = 0.5
_HINT = (
    "run as root, or let users make namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), "
    "user.max_user_namespaces > 0, kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"
)


class NetnsBackend(Backend):
    """Namespaces of the host kernel; time is the host's, so bits differ from execution to execution."""

    name = "netns"
    virtual_time = False
    promises_identical_bits = False

    def capabilities(self, options: BackendOptions | None = None) -> frozenset[str]:
        """Start an agent and ask it what the host kernel can do; once per process and agent."""
        return _capabilities(find_agent((options or BackendOptions()).agent))

    def up(
        self,
        topology: Topology,
        *,
        seed: int = 1,
        recorder: Recorder | None = None,
        options: BackendOptions | None = None,
    ) -> Network:
        """Make fresh namespaces and bring the topology up in them; see :meth:`Backend.up`."""
        given = options or BackendOptions()
        agent = find_agent(given.agent)
        session = _start(agent, recorder=recorder or NullRecorder(), options=given)
        try:
            return Network(
                session,
                topology,
                backend=self.name,
                virtual_time=False,
                seed=seed,
                options=given,
                settle_ns=0,
                artifacts=identify(agent),
                hello=_greet(session, [os.fspath(path) for path in given.shares]),
            )
        except BaseException:
            session.close()
            raise


class _Namespaces:
    """The peer of a session that is an agent in namespaces."""

    def __init__(self, child: Child, scratch: Scratch, wall_limit_s: float | None) -> None:
        self._child = child
        self._scratch = scratch
        self._wall_limit_s = wall_limit_s
        self._born = time.monotonic()

    def watch(self) -> float:
        """Give up where the agent is gone or the network lives too long; anything else may simply take its time."""
        if not self._child.alive():
            raise self.gone()
        if self._wall_limit_s is not None and time.monotonic() - self._born >= self._wall_limit_s:
            raise DeadlineError(f"the network has lived for its {self._wall_limit_s:g} s of wall time")
        return _ASK_S

    def gone(self) -> GuestCrashed:
        """Say how the agent ended, with its last words."""
        end = self._child.end(wait_s=2.0)
        return AgentGone(f"the agent in the namespaces ended ({end}); its last words:\n{self._child.log_tail()}")

    def close(self) -> None:
        """End the agent, and with it (it is the first process of a PID namespace) all that runs there."""
        self._child.kill()
        self._scratch.close()


def _start(agent: Path, *, recorder: Recorder, options: BackendOptions) -> Session:
    """Start an agent in namespaces of its own.

    Raises:
        CapabilityError: The host refuses namespaces.
    """
    scratch = Scratch()
    here, there = socket.socketpair()
    program = agent / "agent" if agent.is_dir() else agent
    try:
        child = Child(
            [os.fspath(program), "netns", "--fd", str(_CHANNEL_FD)],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": os.fspath(scratch.path)},
            fds={_CHANNEL_FD: there.fileno()},
            log=recorder.console_path or scratch.path / "console.log",
        )
    except BaseException:
        here.close()
        scratch.close()
        raise
    finally:
        there.close()
    return Session(here, _Namespaces(child, scratch, options.wall_limit_s), recorder)


@functools.cache
def _capabilities(agent: Path) -> frozenset[str]:
    session = _start(agent, recorder=NullRecorder(), options=BackendOptions())
    try:
        return frozenset(_greet(session, [])["capabilities"])
    finally:
        session.close()


def _greet(session: Session, shares: list[str]) -> dict[str, Any]:
    """Greet the agent; one that ended before it could answer was refused its namespaces."""
    try:
        return session.hello(shares)
    except (AgentGone, CapabilityError) as error:
        raise CapabilityError(f"this machine refuses namespaces: {error}", hint=_HINT) from error
