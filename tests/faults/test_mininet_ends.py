# SPDX-License-Identifier: MIT
"""Ctrl-C and SIGKILL while Mininet is building: its shells, namespaces and links go with the command."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.faults import leaks
from tests.faults.conftest import need
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
