# SPDX-License-Identifier: MIT
"""The networks of the suite: 100 Mbit/s and 100 ms, as a cable or behind a router."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from scapy.packet import Packet

RATE_BPS = 100_000_000
DELAY_S = 0.1
CLOSE_S = 10e-6  # a wake-up of a source takes some system calls, 1 us each

cable = pytest.mark.scenario("pair", rate_bps=RATE_BPS, delay_ms=DELAY_S * 1000)
behind_a_router = pytest.mark.scenario("chain", n=3)
both_versions = pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])


def flight_s(*frames: Packet) -> float:
    """Give how long frames take over the cable, one after the other's arrival: delay and bits on the wire."""
    return float(sum(DELAY_S + frame.wirelen * 8 / RATE_BPS for frame in frames))


def rings_after(seconds: float, nominal_s: float) -> bool:
    """Tell whether a kernel timer rang as it may: never early, late by at most an eighth (``kernel/time/timer.c``)."""
    tick_s = 0.01  # CONFIG_HZ=100
    return nominal_s - tick_s <= seconds <= nominal_s * 9 / 8 + 2 * tick_s


def doubles(gaps_s: list[float]) -> bool:
    """Tell whether each interval is twice the one before, as exactly as the kernel's timers ring."""
    return all(2 * 8 / 9 <= later / earlier <= 2 * 9 / 8 for earlier, later in itertools.pairwise(gaps_s))
