# SPDX-License-Identifier: MIT
"""The cable of the suite, and whom a case is for."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from testbed.libos.library import find_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scapy.packet import Packet

DELAY_S = 0.001
SOON_S = 0.002  # what an engine takes to answer: system calls of 1 us each, and rounds of its poll loop
WAIT_S = 0.1

cable = pytest.mark.scenario("pair", delay_ms=DELAY_S * 1000)
# catnap (its stack is the node's kernel: the oracle), catpowder, catnip
all_stacks = pytest.mark.flavors(only=("tcp", "udp"))
# catpowder and catnip
own_stacks = pytest.mark.flavors(only="user-stack")


def gaps_s(frames: Sequence[Packet]) -> list[float]:
    """Give the time from each frame to the next."""
    return [float(later.time - earlier.time) for earlier, later in itertools.pairwise(frames)]


def doubles(gaps: Sequence[float]) -> bool:
    """Tell whether each interval is twice the one before, as exactly as timers ring (a kernel's: 1/8 late at most)."""
    return all(16 / 9 <= later / earlier <= 9 / 4 for earlier, later in itertools.pairwise(gaps))


def known_gap(request: pytest.FixtureRequest, flavor: str, reason: str) -> None:
    """Expect the case to fail for a LibOS with a stack of its own: what is said is what that stack, smoltcp, lacks."""
    if find_library(flavor).owns_interface:
        request.applymarker(pytest.mark.xfail(strict=True, reason=f"smoltcp: {reason}"))
