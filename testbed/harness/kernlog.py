# SPDX-License-Identifier: MIT
"""Find in a kernel's log what a test must not cause: warnings, oopses, lockdep splats, stalls, memory that ran out."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

EXCERPT_LINES = 40
LOST = "... records were lost"  # what the agent writes where the kernel overwrote its log (agent/src/kernlog.rs)
_LINE = re.compile(r"^(?P<seconds>\d+(?:\.\d+)?) (?P<level>[0-7]) (?P<text>.*)$")
_END = re.compile(r"---\[ end (trace|Kernel panic)")
_CUT = "------------[ cut here ]------------"
_KILLED = "ut of memory: Killed process"


class Trouble(enum.StrEnum):
    """What kind of complaint it is, in the words of the report."""

    PANIC = "kernel panic"
    OOPS = "kernel oops"
    BUG = "kernel bug"
    LOCKDEP = "lockdep report"
    STALL = "kernel stall"
    SANITIZER = "sanitizer report"
    LEAK = "leaked reference"
    OUT_OF_MEMORY = "out of memory"
    WARNING = "kernel warning"
    TAINT = "kernel taint"


# First match wins. Sources: kernel/panic.c, kernel/locking/lockdep.c, kernel/rcu/tree_stall.h, kernel/watchdog.c,
# kernel/hung_task.c, lib/ubsan.c, mm/kasan/report.c, mm/oom_kill.c, net/core/dev.c, lib/refcount.c of Linux 6.12.
PATTERNS: tuple[tuple[Trouble, re.Pattern[str]], ...] = tuple(
    (trouble, re.compile(pattern))
    for trouble, pattern in (
        (Trouble.PANIC, r"Kernel panic - not syncing"),
        (Trouble.SANITIZER, r"BUG: K[A-Z]?[AMC]SAN|BUG: KFENCE|^UBSAN: "),
        (
            Trouble.STALL,
            r"BUG: (soft|workqueue) lockup|watchdog: BUG: |rcu: INFO: .* (stall|expedited)",
        ),
        (Trouble.STALL, r"blocked for more than \d+ seconds"),
        (Trouble.LOCKDEP, r"possible (circular|recursive|irq lock inversion|unsafe locking)|inconsistent lock state"),
        (Trouble.LOCKDEP, r"suspicious RCU usage|bad unlock balance|lock held when returning|held lock freed"),
        (
            Trouble.LOCKDEP,
            r"lock order inverted|BUG: sleeping function called from invalid context|BUG: Invalid wait context",
        ),
        (Trouble.LOCKDEP, r"BUG: (scheduling while atomic|spinlock |MAX_LOCKDEP|MAX_LOCK_DEPTH)"),
        (
            Trouble.OOPS,
            r"^Oops:|Oops: \d|general protection fault|unable to handle (kernel|page fault)|Unable to handle kernel",
        ),
        (Trouble.BUG, r"kernel BUG at|^BUG: |\bBUG: unable"),
        (Trouble.OUT_OF_MEMORY, r"Out of memory: Killed|invoked oom-killer|[Mm]emory cgroup out of memory|oom-kill:"),
        (Trouble.LEAK, r"unregister_netdevice: waiting for .* to become free|kmemleak: \d+ new suspected"),
        (Trouble.WARNING, r"^WARNING: |refcount_t: "),
    )
)

# Documentation/admin-guide/tainted-kernels.rst of Linux 6.12, by bit.
_TAINTS = (
    "proprietary module", "forced module load", "kernel out of specification", "forced module unload",
    "machine check", "bad page", "taint asked for by user space", "kernel died (oops or BUG)", "ACPI table overridden",
    "kernel issued a warning", "staging driver", "platform firmware bug worked around", "out-of-tree module",
    "unsigned module", "soft lockup", "kernel live patched", "auxiliary taint", "struct randomization",
    "in-kernel test was run", "userspace debugging access",
)  # fmt: skip


@dataclass(frozen=True)
class Complaint:
    """One thing that the kernel complained about.

    Args:
        trouble: Its kind.
        headline: The line that names it, without time and level.
        excerpt: The log from there to the end of its trace, at most 40 lines.
    """

    trouble: Trouble
    headline: str
    excerpt: str


def strip(line: str) -> str:
    """Take time and level off a line of ``/dev/kmsg`` as the agent gives it (``SECONDS LEVEL TEXT``)."""
    match = _LINE.match(line)
    return match["text"] if match else line


def classify(line: str) -> Trouble | None:
    """Say what kind of complaint a line (without time and level) starts, or None."""
    return next((trouble for trouble, pattern in PATTERNS if pattern.search(line)), None)


def complaints(log: str) -> list[Complaint]:
    """Find all complaints of a log, in its order; the lines of one trace give one complaint.

    Args:
        log: Lines ``SECONDS LEVEL TEXT``; lines without the two first fields are taken as they are.
    """
    lines = [strip(line) for line in log.splitlines()]
    found: list[Complaint] = []
    at = 0
    while at < len(lines):
        cut = lines[at].strip() == _CUT
        trouble = _cut_trouble(lines[at : at + 6]) if cut else classify(lines[at])
        if trouble is None:
            at += 1
            continue
        end = _end_of(lines, at)
        headline = next(
            (line for line in lines[at:end] if classify(line)), lines[min(at + 1, end - 1)] if cut else lines[at]
        )
        excerpt = lines[at : min(end, at + EXCERPT_LINES)]
        if _KILLED in lines[end - 1]:  # who was killed says more than who asked for the last page
            headline = lines[end - 1]
            excerpt = [*excerpt[: EXCERPT_LINES - 1], headline] if end - at > EXCERPT_LINES else excerpt
        found.append(Complaint(trouble, headline.strip(), "\n".join(excerpt)))
        at = end
    return found


def taint_words(taint: int) -> list[str]:
    """Give the words for the bits of ``/proc/sys/kernel/tainted``."""
    return [
        _TAINTS[bit] if bit < len(_TAINTS) else f"bit {bit}" for bit in range(taint.bit_length()) if taint >> bit & 1
    ]


def taint_complaint(taint: int) -> Complaint | None:
    """Give a complaint for a kernel that was tainted during a case; 0 gives None."""
    if not taint:
        return None
    words = ", ".join(taint_words(taint))
    return Complaint(Trouble.TAINT, f"the kernel was tainted: {words} (0x{taint:x})", f"tainted 0x{taint:x}: {words}")


def _cut_trouble(block: list[str]) -> Trouble:
    """Classify what follows a ``cut here`` line; a block that nothing else names is a warning."""
    return next((trouble for line in block if (trouble := classify(line))), Trouble.WARNING)


def _end_of(lines: list[str], start: int) -> int:
    """Give the index after the last line of the trace that starts at ``start``."""
    oom = classify(lines[start]) is Trouble.OUT_OF_MEMORY
    for at in range(start + 1, min(len(lines), start + (400 if oom else 120))):
        if _END.search(lines[at]) or (oom and "Killed process" in lines[at]):
            return at + 1
        if lines[at].strip() == _CUT:
            return at
    block = [at for at in range(start + 1, min(len(lines), start + 120)) if _is_trace(lines[at])]
    last = start
    for at in block:  # a trace without an end mark: follow it while its lines have no gap
        if at - last > 3:
            break
        last = at
    return last + 1


def _is_trace(line: str) -> bool:
    return bool(
        re.match(
            r"\s+|(CPU|RIP|Call Trace|Modules linked|Hardware name|Stack|Code|Tainted|E?[A-Z]{2,3}):|\[<|=====", line
        )
    )
