# SPDX-License-Identifier: MIT
"""Sockets between processes of one node (unix(7)): 34 scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.process_manager.behave import alone, table

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave

pytestmark = alone

SECOND = 1_000_000_000

STREAM = {
    "both-directions": "there and back",
    "listens-and-accepts": f"accepted after {2 * SECOND} ns",
    "abstract-name": "8 bytes: \\0suite",
    "names-of-both-ends": "client: 2 bytes\nserver: /tmp/socket",
    "name-in-use": "EADDRINUSE",
    "nobody-listens": "ENOENT or ECONNREFUSED",
    "wrong-type": "refused",
    "full-backlog": f"room after {3 * SECOND} ns",
    "end-of-stream": "one direction after the other",
    "peer-is-gone": "end, then EPIPE and SIGPIPE",
    "peer-left-bytes-unread": "ECONNRESET",
    "without-blocking": "EAGAIN",
    "receive-times-out": f"gave up after {SECOND * 3 // 2} ns from 0 ns",
    "send-times-out": "\n".join([f"gave up after {SECOND * 5 // 2} ns from 0 ns"] * 2),
    "accept-times-out": f"gave up after {4 * SECOND} ns from 0 ns",
    "peeked": "seen and not taken",
    "no-boundaries": "one stream",
    "waits-for-all": f"part part part  after {3 * SECOND} ns",
    "a-megabyte": "1048576 bytes",
}
MESSAGE = {
    "boundaries": "three messages",
    "cut-off": "the rest is lost",
    "sender-without-a-name": "0 bytes of address",
    "answer-to-the-sender": "from /tmp/other",
    "chosen-name": "8 bytes of address",
    "connected-to-one": "EPERM for others",
    "too-large": "EMSGSIZE",
    "full-queue": f"room after {2 * SECOND} ns",
    "receive-times-out": f"gave up after {SECOND * 9 // 4} ns from 0 ns",
    "receiver-is-gone": "ECONNREFUSED",
    "many-in-one-call": "one two three",
    "packets-in-sequence": "boundaries and an end",
    "descriptors": "both ends of another process's pipe",
    "credentials": "user 1, group 2",
    "options": "options",
}


@table(STREAM)
def test_unix_stream(behave: Behave, behaviour: str, expected: str) -> None:
    """Connections: names, backlog, ends, limits of time and of room."""
    behave("unix-stream", behaviour, expected=expected)


@table(MESSAGE)
def test_unix_message(behave: Behave, behaviour: str, expected: str) -> None:
    """Datagrams and packets in sequence, and the descriptors and credentials that travel with them."""
    behave("unix-message", behaviour, expected=expected)
