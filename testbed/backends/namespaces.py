# SPDX-License-Identifier: MIT
"""An agent in namespaces of the host's kernel: starting it, watching it, ending it and all that runs there."""

from __future__ import annotations

import functools
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.agent.protocol import AgentGone
from testbed.backends.base import BackendOptions
from testbed.backends.child import Child
from testbed.backends.recorders import NullRecorder
from testbed.backends.scratch import Scratch
from testbed.backends.session import Session
from testbed.errors import CapabilityError, DeadlineError, GuestCrashed

if TYPE_CHECKING:
    from testbed.backends.base import Recorder

CHANNEL_FD = 3
_ASK_S = 0.5
_HINT = (
    "run as root, or let users make namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), "
    "user.max_user_namespaces > 0, kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"
)


class Namespaces:
    """The peer of a session that is an agent in namespaces.

    Args:
        child: The agent; it dies with us, and its namespaces and all that runs in them with it.
        scratch: A folder that vanishes with them.
        wall_limit_s: Wall time that they may live, s; None is no limit.
    """

    def __init__(self, child: Child, scratch: Scratch, wall_limit_s: float | None) -> None:
        self.child = child
        self.scratch = scratch
        self.guests: list[Child] = []  # programs of ours that were put in beside the agent
        self._wall_limit_s = wall_limit_s
        self._born = time.monotonic()

    def watch(self) -> float:
        """Give up where the agent is gone or the network lives too long; anything else may simply take its time."""
        if not self.child.alive():
            raise self.gone()
        if self._wall_limit_s is not None and time.monotonic() - self._born >= self._wall_limit_s:
            raise DeadlineError(f"the network has lived for its {self._wall_limit_s:g} s of wall time")
        return _ASK_S

    def gone(self) -> GuestCrashed:
        """Say how the agent ended, with its last words."""
        end = self.child.end(wait_s=2.0)
        return AgentGone(f"the agent in the namespaces ended ({end}); its last words:\n{self.child.log_tail()}")

    def close(self) -> None:
        """End the agent, and with it (it is the first process of a PID namespace) all that runs there."""
        self.child.kill()
        for guest in self.guests:
            guest.kill()
        self.scratch.close()

    def first_pid(self) -> int:
        """Give the pid, on the host, of the first process of the PID namespace: the agent that serves.

        Raises:
            GuestCrashed: The agent is gone.
        """
        try:
            words = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()
        except OSError:
            words = []
        if not words:
            raise self.gone()
        return int(words[0])


def start(agent: Path, *, recorder: Recorder, options: BackendOptions) -> tuple[Session, Namespaces]:
    """Start an agent in namespaces of its own.

    Args:
        agent: Its program, or the folder with it.
        recorder: Who writes down what happens.
        options: How long it may live.
    """
    scratch = Scratch()
    here, there = socket.socketpair()
    program = agent / "agent" if agent.is_dir() else agent
    try:
        child = Child(
            [os.fspath(program), "netns", "--fd", str(CHANNEL_FD)],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": os.fspath(scratch.path)},
            fds={CHANNEL_FD: there.fileno()},
            log=recorder.console_path or scratch.path / "console.log",
        )
    except BaseException:
        here.close()
        scratch.close()
        raise
    finally:
        there.close()
    namespaces = Namespaces(child, scratch, options.wall_limit_s)
    return Session(here, namespaces, recorder), namespaces


def greeted(session: Session) -> dict[str, Any]:
    """Give the agent's answer to the greeting that it was sent.

    Raises:
        CapabilityError: It ended before it could answer: the host refuses namespaces.
    """
    try:
        return session.take_hello()
    except (AgentGone, CapabilityError) as error:
        raise CapabilityError(f"this machine refuses namespaces: {error}", hint=_HINT) from error


@functools.cache
def capabilities(agent: Path) -> frozenset[str]:
    """Start an agent and ask it what the host's kernel can do; once per process and agent.

    Raises:
        CapabilityError: The host refuses namespaces.
    """
    session, _ = start(agent, recorder=NullRecorder(), options=BackendOptions())
    try:
        session.send_hello([])
        return frozenset(greeted(session)["capabilities"])
    finally:
        session.close()
