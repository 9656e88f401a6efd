# SPDX-License-Identifier: MIT
"""What is measured of each LibOS."""

from __future__ import annotations

from benchmarks.figure import Sample
from benchmarks.libos import duel, sides
from benchmarks.libos.wire import Wire

ROUNDS = 10_000
MEMORY_ROUNDS = 200_000
BULK_PUSHES = 40_000


def catnap_tcp() -> Sample:
    """Measure an echo of 64 bytes over TCP of the kernel, by queues and by epoll."""
    with Wire() as wire, sides.queues("catnap", "tcp", ROUNDS) as ours:
        return duel.fight(ours, sides.sockets("tcp", ROUNDS), wire)


def catnap_udp() -> Sample:
    """Measure an echo of 64 bytes over UDP of the kernel, by queues and by epoll."""
    with Wire() as wire, sides.queues("catnap", "udp", ROUNDS) as ours:
        return duel.fight(ours, sides.sockets("udp", ROUNDS), wire)


def catpowder_udp() -> Sample:
    """Measure an echo of 64 bytes over a UDP of our own on raw sockets, against raw frames."""
    with Wire() as wire, sides.queues("catpowder", "udp", ROUNDS) as ours:
        return duel.fight(ours, sides.frames(ROUNDS), wire)


def catnip_udp() -> Sample:
    """Measure an echo of 64 bytes over a UDP of our own on DPDK, against raw frames."""
    with Wire() as wire, sides.queues("catnip", "udp", ROUNDS) as ours:
        return duel.fight(ours, sides.frames(ROUNDS), wire)


def catmem_ratio() -> Sample:
    """Measure a round trip of 64 bytes through a pipe in shared memory, against two flags."""
    with sides.queues("catmem", "pipe", MEMORY_ROUNDS, loopback=True) as ours:
        return duel.fight(ours, sides.flags(MEMORY_ROUNDS), None)


def catmem_us() -> Sample:
    """Measure a round trip of 64 bytes through a pipe in shared memory, in us."""
    with sides.queues("catmem", "pipe", MEMORY_ROUNDS, loopback=True) as ours:
        return duel.alone(ours, None)


def catloop_tcp() -> Sample:
    """Measure an echo of 64 bytes over a connection in shared memory, against the kernel's loopback."""
    with sides.queues("catloop", "tcp", ROUNDS, loopback=True) as ours:
        return duel.fight(ours, sides.sockets("tcp", ROUNDS, loopback=True), None)


def catpowder_bulk() -> Sample:
    """Measure how much goes over a TCP of our own on raw sockets, against that of the kernel: a ratio of rates."""
    with Wire() as wire, sides.queues("catpowder", "bulk", BULK_PUSHES) as ours:
        times = duel.fight(ours, sides.sockets("bulk", BULK_PUSHES), wire)
    return Sample(1 / times.value, times.details)
