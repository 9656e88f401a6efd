# SPDX-License-Identifier: MIT
"""When a kernel timer really fires: Linux rounds long time-outs up, and in virtual time nothing else is added.

A timer of the wheel (all of TCP's long ones) fires at a whole jiffy, and the farther away it is, the coarser: 1 jiffy
up to 63 of them, 8 up to 504, 64 up to 4032, and so on (kernel/time/timer.c: calc_wheel_index, "Granularity").
"""

from __future__ import annotations

import math

HZ = 100  # jiffies per second of a User-Mode Linux (CONFIG_HZ)
_FIRST_JIFFY = 2**32 - 300 * HZ  # INITIAL_JIFFIES, include/linux/jiffies.h
_BOOT_S = -2.0  # the network's clock starts two seconds after the boot (doc/internals.md, section 2)
_LEVEL_BUCKETS = 64
_LEVEL_SHIFT = 3
_LEVELS = 8
_ROUNDING_S = 1e-6


def jiffies_of(seconds: float) -> int:
    """Convert a length of time to jiffies, rounded up as usecs_to_jiffies() does."""
    return math.ceil(seconds * HZ - _ROUNDING_S)


def fires_s(armed_s: float, timeout_s: float) -> float:
    """Say when a timer fires.

    Args:
        armed_s: When it was armed, in seconds of the network's clock.
        timeout_s: For how long; the kernel counts it in whole jiffies.

    Returns:
        Seconds of the network's clock.
    """
    delta = jiffies_of(timeout_s)
    expires = _FIRST_JIFFY + math.floor((armed_s - _BOOT_S) * HZ + _ROUNDING_S) + delta
    level = 0
    while level < _LEVELS - 1 and delta >= (_LEVEL_BUCKETS - 1) << (level * _LEVEL_SHIFT):
        level += 1
    shift = level * _LEVEL_SHIFT
    bucket = ((expires >> shift) + 1) << shift
    return (bucket - _FIRST_JIFFY) / HZ + _BOOT_S


def backoff_s(
    start_s: float, timeout_s: float, count: int, *, most_s: float = math.inf, armed_after_s: float = 0.0
) -> list[float]:
    """Say when a timer fires that is armed each time for twice as long.

    Args:
        start_s: When it is armed first, in seconds of the network's clock.
        timeout_s: For how long, the first time.
        count: How many times are wanted, the start included.
        most_s: It is never armed for longer than this.
        armed_after_s: How long after it fired it is armed again.

    Returns:
        Seconds of the network's clock, the start first.
    """
    found = [start_s]
    while len(found) < count:
        found.append(fires_s(found[-1] + armed_after_s, timeout_s))
        timeout_s = min(2 * timeout_s, most_s)
    return found
