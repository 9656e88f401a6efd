# SPDX-License-Identifier: MIT
"""Threads and what they wait for each other with (pthreads(7), sem_overview(7))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.process_manager.behave import alone, table

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave

pytestmark = alone

SECOND = 1_000_000_000

LIFE = {
    "values-come-back": "sum of squares: 40425",
    "create-errors": "EINVAL, EAGAIN for its stack, EAGAIN for its user",
    "join-waits": f"joined after {3 * SECOND} ns",
    "timed-join": f"gave up after {2 * SECOND} ns\njoined after {10 * SECOND} ns",
    "join-errors": "EDEADLK, EINVAL, EINVAL",
    "made-detached": "detached from its start",
    "stack-size": "2097152 bytes",
    "cancelled-in-its-sleep": f"cleanup second\ncleanup first\ncancelled after {SECOND} ns",
    "cancellation-put-off": f"not yet\ncancelled after {5 * SECOND} ns",
    "variables-of-a-thread": "thread 5, main 1, errno success",
    "one-process": "one process, two threads",
    "fork-in-a-thread": "the child has one thread",
    "names": "fifteen letters",
}
MUTEX = {
    "normal": "EBUSY for owner and others",
    "error-checking": "EPERM, EDEADLK, EPERM",
    "recursive": "three times locked and unlocked",
    "timed": f"gave up after {2 * SECOND} ns\nlocked after {5 * SECOND} ns",
    "robust": "EOWNERDEAD, consistent, EOWNERDEAD, ENOTRECOVERABLE",
    "shared-by-processes": f"child locked after {4 * SECOND} ns\ncount 11",
    "no-count-is-lost": "counted 800",
    "readers-share-writers-do-not": "readers with readers only",
    "writer-waits-for-readers": f"gave up after {2 * SECOND} ns\nlocked after {3 * SECOND} ns",
    "spin-lock": "EBUSY while locked",
}
SYNC = {
    "once": f"once after {SECOND} ns",
    "keys": "destroyed 20, main has 1000",
    "condition-wakes-one-or-all": f"woken 1\nwoken 5\nall after {2 * SECOND} ns",
    "condition-times-out": f"gave up after {SECOND * 5 // 2} ns\ngave up at once after {SECOND * 5 // 2} ns",
    "condition-in-time": f"woken after {2 * SECOND} ns",
    "barrier-of-four": "arrived 4000 times, 1000 serial threads",
    "semaphores-ping-pong": "io" * 100,
    "semaphore-times-out": f"gave up after {2 * SECOND} ns\ntaken after {3 * SECOND} ns",
    "named-semaphore": f"posted by another process after {SECOND} ns",
    "futex-wakes-so-many": "one, three, the last",
}
VECTORS = {
    "system-calls": "kept",
    "threads": "each kept its own",
    "page-faults": "kept",
    "signal-handlers": "kept",
    "forks": "kept by both",
}


@table(LIFE)
def test_thread(behave: Behave, behaviour: str, expected: str) -> None:
    """How threads are made, joined, detached and cancelled, and which of these are errors."""
    behave("thread-life", behaviour, expected=expected)


@table(MUTEX)
def test_lock(behave: Behave, behaviour: str, expected: str) -> None:
    """Each kind of mutex, read-write locks and spin locks."""
    behave("thread-mutex", behaviour, expected=expected)


@table(SYNC)
def test_synchronisation(behave: Behave, behaviour: str, expected: str) -> None:
    """Once, keys, conditions, barriers, semaphores, and a futex itself."""
    behave("thread-sync", behaviour, expected=expected)


@table(VECTORS)
def test_vector_registers(behave: Behave, behaviour: str, expected: str) -> None:
    """What runs in between leaves the vector registers of a thread alone."""
    behave("vectors", behaviour, expected=expected)
