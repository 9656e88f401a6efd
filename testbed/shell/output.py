# SPDX-License-Identifier: MIT
"""Where the shell's words go: what processes write and what was asked for to stdout, everything else to stderr."""

from __future__ import annotations

import sys


def write(stream: int, data: bytes) -> None:
    """Write what a process wrote: to our stdout (1) or stderr (2), as it is and at once."""
    ours = sys.stdout if stream == 1 else sys.stderr
    ours.flush()
    buffer = getattr(ours, "buffer", None)
    if buffer is None:
        ours.write(data.decode("utf-8", errors="replace"))
    else:
        buffer.write(data)
        buffer.flush()
    ours.flush()


def say(text: str) -> None:
    """Print an answer of the shell's own."""
    print(text, flush=True)  # noqa: T201


def note(text: str) -> None:
    """Print something beside the answer."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
