# SPDX-License-Identifier: MIT
"""The figures of the LibOSes, with their goals: ``testbed bench libos``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figure import Figure, Sample
from benchmarks.libos import cost, measures

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = "libos"


def _figure(
    name: str,
    what: str,
    measure: Callable[[], float | Sample],
    *,
    unit: str = "x",
    at_most: float | None = None,
    at_least: float | None = None,
    once: bool = False,
) -> Figure:
    return Figure(
        name=name,
        what=what,
        unit=unit,
        measure=measure,
        at_most=at_most,
        at_least=at_least,
        once=once,
        slow=True,
        group=GROUP,
    )


LIBOS = (
    _figure("catnap-tcp", "echo of 64 B over TCP, against epoll in C", measures.catnap_tcp, at_most=1.10),
    _figure("catnap-udp", "echo of 64 B over UDP, against epoll in C", measures.catnap_udp, at_most=1.10),
    _figure("catpowder-udp", "echo of 64 B over UDP, against raw frames in C", measures.catpowder_udp, at_most=1.5),
    _figure("catnip-udp", "echo of 64 B over UDP, against raw frames in C", measures.catnip_udp, at_most=1.5),
    _figure("catmem", "round trip of 64 B, against two flags in shared memory", measures.catmem_ratio, at_most=2.0),
    _figure("catmem-us", "round trip of 64 B between two processes", measures.catmem_us, unit="us", at_most=1.0),
    _figure("catloop-tcp", "echo of 64 B, against the kernel's loopback in C", measures.catloop_tcp, at_most=0.5),
    _figure(
        "catpowder-bulk",
        "rate of TCP in pushes of 1460 B, over that of the kernel, no offloads",
        measures.catpowder_bulk,
        at_least=0.7,
    ),
    _figure(
        "queue-cost",
        "instructions of a push and a pop, both waited for, without a device",
        cost.round_instructions,
        unit="instructions",
        once=True,
    ),
)
