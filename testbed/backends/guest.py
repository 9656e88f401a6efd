# SPDX-License-Identifier: MIT
"""A running guest kernel on the host: its status page, its watchdog, and how it died."""

from __future__ import annotations

import mmap
import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import DeadlineError, GuestCrashed

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.backends.child import Child

START_NS = 1_704_067_198 * 1_000_000_000  # the guest's wall clock at boot, two seconds before 2024
SETTLE_NS = 2_000_000_000
PAGE_SIZE = 4096
_PAGE = struct.Struct("<8sQQQi16sI")
_MAGIC = b"TBSTATUS"
_STATES = {0: "booting", 1: "user mode", 2: "the kernel", 3: "the channel, frozen", 4: "a panic"}
_ASK_S = 0.25
PANIC = r"(?:Kernel panic - not syncing\b|BUG: |Oops: |Kernel tried to access ).*"
"""What a kernel says of what it dies of (kernel/panic.c, arch/um/kernel/trap.c of Linux 6.12)."""
LOG_FOLLOWS = "the end of its log:"


class GuestStalled(DeadlineError):  # noqa: N818  # says what happened
    """A guest made no progress for too long by the wall clock; the message names the process that was running."""


@dataclass(frozen=True)
class Status:
    """What a guest's kernel says of itself, at any moment.

    Args:
        virtual_ns: Its clock, nanoseconds since boot.
        syscalls: System calls so far.
        user_entries: Times that it entered user mode.
        pid: Process that last did.
        comm: Name of that process.
        state: Where it is, in words.
    """

    virtual_ns: int
    syscalls: int
    user_entries: int
    pid: int
    comm: str
    state: str


class StatusPage:
    """The page of memory that a guest's kernel writes and we only read."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("testbed-status", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, PAGE_SIZE)
        self._page = mmap.mmap(self.fd, PAGE_SIZE, mmap.MAP_SHARED, mmap.PROT_READ)

    def read(self) -> Status | None:
        """Give the status, or None while the kernel has not written its magic yet."""
        if self._page.closed:
            return None
        magic, virtual_ns, syscalls, entries, pid, comm, state = _PAGE.unpack_from(self._page)
        if magic not in (_MAGIC, _MAGIC[::-1]):
            return None
        since_boot = virtual_ns - START_NS if virtual_ns >= START_NS else virtual_ns
        name = comm.split(b"\0")[0].decode("utf-8", "replace")
        return Status(since_boot, syscalls, entries, pid, name, _STATES.get(state, f"state {state}"))

    def close(self) -> None:
        """Unmap the page; called again it does nothing."""
        if not self._page.closed:
            self._page.close()
            os.close(self.fd)


class Guest:
    """The peer of a session that is a guest.

    Args:
        child: The guest's process.
        page: Its status page.
        stall_s: Wall-clock seconds without progress after which it is given up.
        wall_limit_s: Wall-clock seconds that it may live; None is no limit.
        clean_up: Called once after the guest has ended.
    """

    def __init__(
        self,
        child: Child,
        page: StatusPage,
        *,
        stall_s: float,
        wall_limit_s: float | None,
        clean_up: Callable[[], None],
    ) -> None:
        self.child = child
        self.page = page
        self._stall_s = stall_s
        self._wall_limit_s = wall_limit_s
        self._clean_up = clean_up
        self._ask_s = min(_ASK_S, stall_s / 4)
        self._born = self._asked = self._moved = time.monotonic()
        self._seen: tuple[int, int, int] | None = None
        self._closed = False

    def watch(self) -> float:
        """Give the guest up where it makes no progress.

        Raises:
            GuestStalled: No progress for too long, or the network lives too long.
            GuestCrashed: The guest's process is gone.
        """
        now = time.monotonic()
        if not self.child.alive():
            raise self.gone()
        status = self.page.read()
        seen = None if status is None else (status.virtual_ns, status.syscalls, status.user_entries)
        paused = now - self._asked > 4 * self._ask_s  # the test was thinking, or we were stopped ourselves
        self._asked = now
        if seen != self._seen or paused or self.child.stopped():
            self._seen, self._moved = seen, now
        elif now - self._moved >= self._stall_s:
            raise GuestStalled(
                f"the guest made no progress for {self._stall_s:g} s of wall time: {_where(status, idle=True)}"
            )
        if self._wall_limit_s is not None and now - self._born >= self._wall_limit_s:
            raise GuestStalled(f"the network has lived for its {self._wall_limit_s:g} s of wall time: {_where(status)}")
        return self._ask_s

    def gone(self) -> GuestCrashed:
        """Say how the guest died, with the last lines of its kernel's log."""
        status = self.page.read()
        end = self.child.end(wait_s=2.0)
        cause = self.child.log_line(PANIC)
        if not cause and end.startswith("exit"):
            cause = self.child.log_line(r"\S.*")  # it gave up by itself: the last thing it said is why
        why = f"{cause}; " if cause else ""
        tail = self.child.log_tail()
        return GuestCrashed(f"the guest died ({end}): {why}{_where(status)}; {LOG_FOLLOWS}\n{tail}")

    def close(self) -> None:
        """End the guest and remove what was made for it; called again it does nothing."""
        if not self._closed:
            self._closed = True
            self.child.kill()
            self.page.close()
            self._clean_up()


def _where(status: Status | None, *, idle: bool = False) -> str:
    """Say what a guest was doing, and when by its network's clock; ``idle`` where it made no system call for long."""
    if status is None:
        return "its kernel had not started yet"
    at_s = (status.virtual_ns - SETTLE_NS) / 1e9
    who = f"{status.comm}[{status.pid}]" if status.pid else "no process"
    hint = ", which made no system call" if idle and status.state == "user mode" else ""
    return f"{who} was running, in {status.state}{hint}, at {at_s:.6f} s of the network's time"
