# SPDX-License-Identifier: MIT
"""A program of ours on the host: started without forking Python, ended by its own id, never by a name."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.backends.process import end_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIRST_FREE_FD = 16  # above every number that a child wants to have
_STDERR = 2
_LOG_LINES = 40
_LINE_CHARS = 200


class Child:
    """A running child process.

    Args:
        argv: The command; its first word is an absolute path.
        env: Its whole environment.
        fds: Number in the child to number here; 1 and 2 go to ``log``, 0 to ``/dev/null``, nothing else is open.
        log: File that stdout and stderr are appended to.

    Raises:
        OSError: It could not be started.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], fds: Mapping[int, int], log: Path) -> None:
        self.log = log
        self._owner = os.getpid()
        self._status: int | None = None
        moved = {inside: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD) for inside, fd in fds.items()}
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            self.pid = os.posix_spawn(
                argv[0],
                list(argv),
                dict(env),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), append, 0o644),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    *((os.POSIX_SPAWN_CLOSE, fd) for fd in inheritable()),
                    *((os.POSIX_SPAWN_DUP2, fd, inside) for inside, fd in moved.items()),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM],
            )
        finally:
            for fd in moved.values():
                os.close(fd)

    def alive(self) -> bool:
        """Say whether the child still runs (a stopped one does)."""
        if self._status is None:
            self._reap(os.WNOHANG)
        return self._status is None

    def stopped(self) -> bool:
        """Say whether someone has stopped the child by a signal."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_bytes()
        except OSError:
            return False
        return stat[stat.rindex(b")") + 2 :][:1] in (b"T", b"t")

    def end(self, wait_s: float) -> str:
        """Wait a little, and say how it ended: ``exit status 1``, ``killed by SIGKILL`` or ``still running``."""
        if self.alive():
            with contextlib.suppress(OSError):
                pidfd = os.pidfd_open(self.pid)
                try:
                    select.select([pidfd], [], [], wait_s)
                finally:
                    os.close(pidfd)
        if self.alive() or self._status is None:
            return "still running"
        return end_text(os.waitstatus_to_exitcode(self._status))

    def kill(self) -> None:
        """End the child at once and wait for it; called again, or in a fork of our process, it does nothing."""
        if self._owner != os.getpid() or not self.alive():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._reap(0)

    def log_line(self, pattern: str) -> str:
        """Give the last match of a regular expression in what the child wrote, in one line; empty where none is."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        found = re.findall(pattern, text)
        return " ".join(found[-1].split())[:_LINE_CHARS] if found else ""

    def log_tail(self) -> str:
        """Give the last lines of what the child wrote, indented."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        kept = [line for line in lines if line.strip()][-_LOG_LINES:]
        return "\n".join(f"  {line}" for line in kept) or "  (it wrote nothing)"

    def _reap(self, flags: int) -> None:
        try:
            pid, status = os.waitpid(self.pid, flags)
        except ChildProcessError:  # someone else has waited for it: its status is lost
            pid, status = self.pid, 255 << 8
        if pid:
            self._status = status


def inheritable() -> list[int]:
    """Give the descriptors above 2 that a child would inherit, since whoever started us left them open."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names, not paths
        with contextlib.suppress(OSError):
            if int(name) > _STDERR and os.get_inheritable(int(name)):
                found.append(int(name))
    return found
