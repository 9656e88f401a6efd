# SPDX-License-Identifier: MIT
"""Waiting until what was measured before has ended: the kernel takes a namespace down long after its last user."""

from __future__ import annotations

import time
from pathlib import Path

WINDOW_S = 0.1
LONGEST_S = 5.0
IDLE_RATIO = 0.9


def settle() -> None:
    """Wait until the machine has been idle for a moment; on one that never is, go on after a few seconds.

    Source: proc(5), /proc/stat: the fourth and fifth number of ``cpu`` are idle and waiting for I/O.
    """
    end = time.monotonic() + LONGEST_S
    while time.monotonic() < end:
        before = _ticks()
        time.sleep(WINDOW_S)
        idle, every = (after - first for after, first in zip(_ticks(), before, strict=True))
        if idle >= IDLE_RATIO * every:
            return


def _ticks() -> tuple[int, int]:
    """Give the ticks that all CPUs together were idle, and all their ticks."""
    numbers = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return numbers[3] + numbers[4], sum(numbers)
