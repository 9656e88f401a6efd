# SPDX-License-Identifier: MIT
"""Signals: what they do, what handlers are told, and how they wait (signal(7))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.process_manager.behave import alone, table

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave

pytestmark = alone

SECOND = 1_000_000_000

ACTION = {
    "who-sent-it": "value -5\n3 signals",
    "read-is-interrupted": f"interrupted after {SECOND * 3 // 2} ns",
    "read-is-restarted": f"read after {4 * SECOND} ns",
    "handled-one-at-a-time": "3 calls, depth 1",
    "nested-without-defer": "3 calls, depth 3",
    "reset-after-one": "handled, then fatal",
    "mask-of-a-handler": "after the handler",
    "default-and-ignored": "as signal(7) says",
    "faults": "FPE 1\nSEGV 1 at 0x10\nILL 1",
    "alternate-stack": "on the other stack",
    "what-children-do": "code 5 status 19\ncode 6 status 18\ncode 1 status 42\n3 signals\ncode 2 status 9",
}
QUEUE = {
    "pending-until-unblocked": "three times sent, 1 time handled",
    "ignored-ones-are-dropped": "still here",
    "never-blocked": "not SIGKILL and SIGSTOP",
    "suspended-with-a-mask": f"suspended after {2 * SECOND} ns",
    "real-time-ones-in-order": "RTMIN+0 2\nRTMIN+0 4\nRTMIN+0 5\nRTMIN+1 3\nRTMIN+2 1",
    "lowest-number-first": "RTMIN+0\nRTMIN+1\nRTMIN+2\nRTMIN+3",
    "limit-of-the-queue": "10 queued",
    "waited-for": f"taken after {SECOND * 5 // 2} ns",
    "waiting-times-out": f"gave up after {SECOND * 3 // 2} ns\ninterrupted by another after {2 * SECOND} ns",
    "by-descriptor": "USR1 0\nUSR2 7",
    "a-whole-group": "three children, not their parent",
    "not-allowed": "EPERM",
    "to-a-thread": "each its own",
    "stopped-and-continued": f"child goes on after {5 * SECOND} ns",
}


@table(ACTION)
def test_action(behave: Behave, behaviour: str, expected: str) -> None:
    """Handlers, their flags and stacks, and what happens without one (sigaction(2), sigaltstack(2))."""
    behave("signal-action", behaviour, expected=expected)


@table(QUEUE)
def test_queue(behave: Behave, behaviour: str, expected: str) -> None:
    """Blocked, pending and queued signals, waiting for them, and sending them to groups and threads."""
    behave("signal-queue", behaviour, expected=expected)
