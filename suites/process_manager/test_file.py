# SPDX-License-Identifier: MIT
"""Files: by descriptor, as streams, in folders, and those that are not on a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.process_manager.behave import TIMEOUT_S, alone, table

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave

pytestmark = alone

SECOND = 1_000_000_000

BASIC = {
    "open-flags": "short end",
    "lowest-descriptor": "the lowest that is free",
    "limit-of-descriptors": "the last one is 1023",
    "status": "10 bytes, mode 100644, 1 name\nmode 100640\nmode 100600",
    "removed-but-open": "still here",
    "current-folder": "by a relative name",
    "at-a-place": "0AB 3456\n0AB34567890AB3456",
    "holes": "zeros that take no room",
    "names": "one\none",
    "record-locks": f"bytes 10 to 19 are locked\nchild locked after {3 * SECOND} ns",
    "file-locks": f"child locked after {2 * SECOND} ns",
    "largest-file": "SIGXFSZ or EFBIG",
}
STDIO = {
    "buffers": "full: 0, 5 after fflush\nline: 0, 13 after its end\nnone: 1",
    "positions": "positions",
    "ends-and-errors": "ends and errors",
    "lines": "[short\n][a much ][longer ][line\n][\n][last]6 19 1 4 ",
    "scanning": "5: -17 beef word 2.50 a-z",
    "blocks": "4000 bytes",
    "streams-without-a-file": "290 bytes",
    "pipes-to-programs": "from a shell\nTO A PROGRAM",
    "descriptors": "straight to a descriptor",
}
DIRECTORY = {
    "made-and-removed": "made and removed",
    "entries": "7 entries, types 10303",
    "sorted-and-chosen": "a.txt\nb.txt\n/tmp/tree/sub/d.txt",
    "walked": "removed from its depth",
    "relative-to-a-descriptor": "relative to a descriptor",
    "watched": "40000100 new\n00000040 a.txt\n00000080 z.txt\n00000200 b.txt",
}
PIPE = {
    "bytes-in-order": "1000000 bytes",
    "read-waits-for-a-writer": f"late after {2 * SECOND} ns\nend after {5 * SECOND} ns",
    "write-waits-for-room": f"room after {3 * SECOND} ns",
    "without-blocking": "65536 bytes of room",
    "without-a-reader": "SIGPIPE or EPIPE",
    "wrong-ends": "EBADF, EBADF, ESPIPE, EINVAL",
    "packets": "second",
    "fifo": f"open after {4 * SECOND} ns\nby name",
    "event-counter": "sums, and counts down as a semaphore",
    "moved-without-copies": "2345678923456789",
    "message-queue": "9 high\n1 low\n1 low too\n0 last",
}


@table(BASIC)
def test_file(behave: Behave, behaviour: str, expected: str) -> None:
    """Open, read and write at a place, names, status, locks (open(2), stat(2), fcntl(2))."""
    behave("file-basic", behaviour, expected=expected)


@pytest.mark.real_time_budget(3600)
def test_file_times(behave: Behave) -> None:
    """A file that is written an hour later says so, and takes the times that it is given (utimensat(2))."""
    place = behave.network["h1"]
    done = place.run([behave.program(place, "file-basic"), "times"], timeout=TIMEOUT_S)
    assert done.stdout == "3600 s later\n2000000003 ns\n"


def test_streams(behave: Behave) -> None:
    """Buffers, positions, ends, and text in and out of streams (stdio(3))."""
    behave.each("file-stdio", STDIO)


@table(DIRECTORY)
def test_folder(behave: Behave, behaviour: str, expected: str) -> None:
    """Folders are made, read, walked and watched (opendir(3), nftw(3), inotify(7))."""
    behave("file-directory", behaviour, expected=expected)


@table(PIPE)
def test_pipe(behave: Behave, behaviour: str, expected: str) -> None:
    """Pipes, FIFOs, event counters and message queues between processes (pipe(7), fifo(7), mq_overview(7))."""
    behave("file-pipe", behaviour, expected=expected)
