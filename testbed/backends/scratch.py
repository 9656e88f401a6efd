# SPDX-License-Identifier: MIT
"""Short-lived folders and CPU slots of running guests; what a dead process left is removed, by our own record."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import os
import re
import shutil
from pathlib import Path
from typing import Literal

from testbed.backends.child import inheritable
from testbed.paths import runtime_dir

_NAME = re.compile(r"(?:net|captures)-(\d+)-(\d+)-\d+")
_SHELL = "/bin/sh"
_SLOTS_PER_CPU = 64
_numbers = itertools.count(1)


class Scratch:
    """A private folder whose name says which process owns it: ``WORD-PID-STARTTIME-N``; :meth:`close` removes it.

    Args:
        word: What it is for: ``net`` or ``captures``.
    """

    def __init__(self, word: Literal["net", "captures"] = "net") -> None:
        remove_stale()
        self._owner = os.getpid()
        _start_reaper(self._owner)
        self.path = runtime_dir() / f"{word}-{self._owner}-{_start_time(self._owner)}-{next(_numbers)}"
        self.path.mkdir(mode=0o700)

    def close(self) -> None:
        """Remove the folder; called again, or in a fork of our process, it does nothing."""
        if self._owner == os.getpid():
            shutil.rmtree(self.path, ignore_errors=True)


# Its stdin ends when the owner does, however that ends. What still dies may still make files: hence several times.
_REAPER = """
while read -r _; do :; done
for _ in 1 2 3 4 5; do
    rm -rf -- "$1"/net-"$2"-* "$1"/captures-"$2"-* && break
    sleep 0.2
done
"""


@functools.cache
def _start_reaper(owner: int) -> None:
    """Start a shell that waits for our end and then removes our folders, which we cannot do where SIGKILL ends us.

    Once per process. It has a session of its own, so that what a terminal or a group is sent does not end it. Where it
    is ended too, the next start removes the folders.

    Args:
        owner: This process.
    """
    ours, theirs = os.pipe()  # its other end stays open, by its number, as long as we live
    try:
        os.posix_spawn(
            _SHELL,
            [_SHELL, "-c", _REAPER, "testbed-reaper", os.fspath(runtime_dir()), f"{owner}-{_start_time(owner)}"],
            {"PATH": "/usr/bin:/bin"},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, ours, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_CLOSE, fd) for fd in inheritable()),
            ],
            setsid=True,
            setsigmask=[],
        )
    except OSError:  # no shell there: the next start does it
        os.close(theirs)
    finally:
        os.close(ours)


@functools.cache
def remove_stale() -> None:
    """Remove the folders of processes that have died without doing so; once per process."""
    for path in runtime_dir().iterdir():
        found = _NAME.fullmatch(path.name)
        if found and _start_time(int(found[1])) != int(found[2]):
            shutil.rmtree(path, ignore_errors=True)


def _start_time(pid: int) -> int | None:
    """Give when a process started, in clock ticks since boot (``proc(5)``, field 22 of ``stat``), or None."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


class CpuSlot:
    """A claim on one CPU for one guest; guests of all processes of a user spread over the CPUs that they may use."""

    def __init__(self) -> None:
        self._fd, self.cpu = _claim(sorted(os.sched_getaffinity(0)))

    def close(self) -> None:
        """Give the slot back; called again it does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _claim(cpus: list[int]) -> tuple[int, int]:
    """Lock the first free slot, all CPUs' first slots before any second one; give the lock's descriptor and the CPU."""
    folder = runtime_dir()
    for slot in range(_SLOTS_PER_CPU):
        for cpu in cpus:
            fd = os.open(folder / f"cpu-{cpu}-{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd, cpu
            os.close(fd)
    return -1, cpus[os.getpid() % len(cpus)]
