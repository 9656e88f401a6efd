# SPDX-License-Identifier: MIT
"""Ctrl-C and SIGKILL while Mininet is building, and while its switches work: all goes with the command."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import leaks
from tests.faults.conftest import need, need_ovs
from tests.faults.test_ends import check_gone

if TYPE_CHECKING:
    from tests.faults.workshop import Workshop

WORDS = ("exec", "--backend", "mininet", "--scenario", "lan", "--param", "n=100", "--", "true")


def building(workshop: Workshop) -> dict[int, str]:
    """Wait until Mininet has made some hosts, but not all; give all processes of the command."""
    deadline = time.monotonic() + leaks.PATIENCE_S
    while time.monotonic() < deadline:
        found = leaks.members(str(workshop.folder))
        shells = sum("mininet:h" in command for command in found.values())
        if shells:
            assert shells < 100, "it is built already"
            return found
    pytest.fail("Mininet never began")


@pytest.mark.mininet
@pytest.mark.parametrize("end", ["interrupt", "kill"])
def test_end_while_mininet_builds_leaves_nothing(workshop: Workshop, end: str) -> None:
    need("mininet")
    before = leaks.traces()
    with workshop.start(*WORDS) as running:
        members = building(workshop)
        if end == "kill":
            running.process.kill()
        else:
            running.interrupt()
        code, output = running.end()
    assert code == (-9 if end == "kill" else 130), output
    check_gone(workshop, members, before)
    again = workshop.testbed(*WORDS[:5], "--param", "n=2", "--", "true")
    assert again.returncode == 0, again.stderr
    assert leaks.scratch(workshop.env) == [], "what only a live process could have removed, the next start has"


def daemons(found: dict[int, str]) -> list[str]:
    """Give the daemons of Open vSwitch among processes."""
    return sorted(command.partition(" ")[0] for command in found.values() if command.startswith("ovs"))


def switching(workshop: Workshop) -> dict[int, str]:
    """Wait until a switch's daemons and the command in the node run; give all processes of the command."""
    deadline = time.monotonic() + leaks.PATIENCE_S
    while time.monotonic() < deadline:
        found = leaks.members(str(workshop.folder))
        if any(command.startswith("sleep 987") for command in found.values()):
            assert daemons(found) == ["ovs-vswitchd", "ovsdb-server"]
            return found
    pytest.fail("the node never ran its command")


@pytest.mark.mininet
@pytest.mark.parametrize("end", ["interrupt", "kill", "failure"])
def test_end_of_a_network_with_open_vswitch_leaves_nothing(workshop: Workshop, end: str) -> None:
    need("mininet")
    need_ovs()
    before = leaks.traces()
    words = ("exec", "--backend", "mininet", "--switch", "ovs", "--scenario", "lan", "--", "sleep", "987")
    with workshop.start(*words) as running:
        members = switching(workshop)
        if end == "kill":
            running.process.kill()
        elif end == "interrupt":
            running.interrupt()
        else:
            (agent,) = (pid for pid, command in members.items() if " netns --fd " in command and is_first(pid))
            os.kill(agent, signal.SIGKILL)
        code, output = running.end()
    assert code == {"kill": -9, "interrupt": 130, "failure": 6}[end], output
    check_gone(workshop, members, before)


def is_first(pid: int) -> bool:
    """Say whether a process is the first one of its PID namespace."""
    return Path(f"/proc/{pid}/status").read_text().partition("NSpid:")[2].split("\n")[0].split()[-1] == "1"
