# SPDX-License-Identifier: MIT
"""Waiting until a descriptor is ready: select, poll and epoll, fully (select(2), poll(2), epoll(7))."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.process_manager.behave import alone, table

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave

pytestmark = alone

SECOND = 1_000_000_000
MECHANISMS = ["select", "pselect", "poll", "ppoll", "epoll", "epoll-pwait"]
WITH_MASK = ["pselect", "ppoll", "epoll-pwait"]

SELECT_AND_POLL = {
    "other-descriptors": "timer:\ncounter: write\nsignals:\ntimer: read\ncounter: read\nsignals: read",
    "several": "2 ready\npipe: read\npipe:\npipe: read",
    "connection": "nobody:\nsomebody: read\nidle: write\nbyte: read write\nurgent byte: read urgent",
}
POLL_AND_EPOLL = {
    "pipe-ends": "empty:\nroom: write\nfull:\nbytes: read\nbytes and no writer: read hang-up\nno writer: hang-up\n"
    "no reader: write error",
    "connection-ends": "peer has ended: read peer-ended\nboth have ended: read hang-up peer-ended",
    "connection-reset": "reset: read write hang-up error\ntold: read write hang-up",
    "connection-refused": "not connected: write hang-up\nrefused: read write hang-up error",
    "datagrams": "fresh: write\nunreachable: write error\nempty datagram: read\ntaken:",
}
KINDS = {
    "select": {
        **SELECT_AND_POLL,
        "pipe-ends": "empty:\nroom: write\nfull:\nbytes: read\nbytes and no writer: read\nno writer: read\n"
        "no reader: write",
        "connection-ends": "peer has ended: read\nboth have ended: read",
        "connection-reset": "reset: read write\ntold: read write",
        "connection-refused": "not connected: read write\nrefused: read write",
        "datagrams": "fresh: write\nunreachable: read write\nempty datagram: read\ntaken:",
        "always-ready": "file: read write\n/dev/null: read write",
        "not-open": "closed: EBADF",
    },
    "poll": {
        **SELECT_AND_POLL,
        **POLL_AND_EPOLL,
        "always-ready": "file: read write\n/dev/null: read write",
        "not-open": "closed: invalid",
    },
    "epoll": {
        **SELECT_AND_POLL,
        **POLL_AND_EPOLL,
        "always-ready": "file: EPERM\n/dev/null: EPERM",
        "not-open": "closed: EBADF",
    },
}


def waits(timeout_ns: int) -> int:
    """Give how long a wait with a time-out is: Linux adds a thousandth, 0.1 s at most (fs/select.c, MAX_SLACK)."""
    return timeout_ns + min(timeout_ns // 1000, SECOND // 10)


SPECIAL = {
    "select-tells-the-rest": "6.000 s are left",
    "select-as-a-sleep": f"awake after {waits(SECOND)} ns",
    "poll-leaves-negative-ones-out": "left out",
    "epoll-once-per-edge": "edges only",
    "epoll-once": "once each time",
    "epoll-list": "listed by file",
    "epoll-nested": f"ready after {2 * SECOND} ns",
    "epoll-to-the-nanosecond": f"gave up after {waits(SECOND * 5 // 4 + 1)} ns",
}


@pytest.mark.real_time_budget(1001)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_time_out(behave: Behave, mechanism: str) -> None:
    """Without anything ready a wait lasts for its time-out: none, a second, a thousand."""
    lengths = [0, SECOND, 1000 * SECOND]
    expected = "\n".join(f"gave up after {waits(length)} ns" for length in lengths)
    behave("ready", "times-out", mechanism, expected=expected)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_wait_ends(behave: Behave, mechanism: str) -> None:
    """A wait ends the moment that a byte arrives, or a signal, restarted or not."""
    at = SECOND * 3 // 2
    behave("ready", "becomes-ready", mechanism, expected=f"ready after {at} ns\nstill ready after {at} ns")
    behave("ready", "interrupted", mechanism, expected=f"interrupted after {at} ns")


@pytest.mark.parametrize("mechanism", WITH_MASK)
def test_mask(behave: Behave, mechanism: str) -> None:
    """The mask of a wait replaces that of the process: a pending signal ends the wait, or does not."""
    length = waits(SECOND)
    expected = f"not interrupted after {length} ns\ninterrupted after {length} ns"
    behave("ready", "masked", mechanism, expected=expected)


@pytest.mark.parametrize(
    ("mechanism", "behaviour"), [(mechanism, behaviour) for mechanism in KINDS for behaviour in KINDS[mechanism]]
)
def test_kinds(behave: Behave, mechanism: str, behaviour: str) -> None:
    """What a descriptor is ready for, in every state that it can be in: readable, writable, hung up, in error."""
    behave("ready", behaviour, mechanism, expected=KINDS[mechanism][behaviour])


@table(SPECIAL)
def test_special(behave: Behave, behaviour: str, expected: str) -> None:
    """What only one of the mechanisms has: time left over, edges, one shot, nesting."""
    behave("ready-special", behaviour, expected=expected)
