# SPDX-License-Identifier: MIT
"""The watchdog, scratch folders, CPU slots and child processes, without any guest."""

from __future__ import annotations

import os
import signal
import struct
import sys
from pathlib import Path

import pytest

from testbed.backends import scratch
from testbed.backends.child import Child
from testbed.backends.guest import START_NS, Guest, GuestStalled, StatusPage
from testbed.errors import GuestCrashed


class Clock:
    """Wall time that only the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("testbed.backends.guest.time.monotonic", lambda: self.now)


def child(tmp_path: Path, *code: str) -> Child:
    argv = [sys.executable, "-c", "\n".join(code)]
    return Child(argv, env={"PATH": "/usr/bin:/bin"}, fds={}, log=tmp_path / "log")


def sleeper(tmp_path: Path) -> Child:
    return child(tmp_path, "import signal", "signal.pause()")


def fill(page: StatusPage, *, syscalls: int, pid: int = 33, comm: bytes = b"spin", state: int = 1) -> None:
    raw = struct.pack("<8sQQQi16sI", b"TBSTATUS", START_NS + 3_500_000_000, syscalls, 9, pid, comm, state)
    os.pwrite(page.fd, raw, 0)


def watched(tmp_path: Path, *, stall_s: float = 2.0, wall_limit_s: float | None = None) -> Guest:
    return Guest(sleeper(tmp_path), StatusPage(), stall_s=stall_s, wall_limit_s=wall_limit_s, clean_up=lambda: None)


def run_for(guest: Guest, clock: Clock, seconds: float) -> None:
    for _ in range(round(seconds / 0.25)):
        clock.now += 0.25
        guest.watch()


def test_guest_without_progress_is_stalled_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    guest = watched(tmp_path)
    try:
        fill(guest.page, syscalls=5)
        guest.watch()
        run_for(guest, clock, 1.75)
        message = (
            r"^the guest made no progress for 2 s of wall time: spin\[33\] was running, in user mode, "
            r"which made no system call, at 1\.500000 s of the network's time$"
        )
        with pytest.raises(GuestStalled, match=message):
            run_for(guest, clock, 0.25)
    finally:
        guest.close()


def test_guest_that_makes_progress_is_never_stalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    guest = watched(tmp_path)
    try:
        for step in range(20):
            fill(guest.page, syscalls=step)
            run_for(guest, clock, 1)
    finally:
        guest.close()


def test_guest_that_nobody_asked_for_long_is_not_stalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    guest = watched(tmp_path)
    try:
        fill(guest.page, syscalls=5)
        guest.watch()
        clock.now += 3600  # the test thinks
        guest.watch()
        run_for(guest, clock, 1.75)
        with pytest.raises(GuestStalled):
            run_for(guest, clock, 0.25)
    finally:
        guest.close()


def test_guest_that_someone_stopped_is_not_stalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    guest = watched(tmp_path)
    try:
        fill(guest.page, syscalls=5)
        guest.watch()
        os.kill(guest.child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, guest.child.pid, os.WSTOPPED | os.WNOWAIT)
        run_for(guest, clock, 60)
        os.kill(guest.child.pid, signal.SIGCONT)
        os.waitid(os.P_PID, guest.child.pid, os.WCONTINUED)
        with pytest.raises(GuestStalled):
            run_for(guest, clock, 2.25)
    finally:
        guest.close()


def test_guest_past_its_wall_limit_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    guest = watched(tmp_path, wall_limit_s=1.0)
    try:
        message = r"^the network has lived for its 1 s of wall time: its kernel had not started yet$"
        with pytest.raises(GuestStalled, match=message):
            run_for(guest, clock, 1)
    finally:
        guest.close()


def test_guest_that_is_gone_shows_its_end_and_its_log(tmp_path: Path) -> None:
    dead = child(tmp_path, "import os", "os.write(2, b'Kernel panic - not syncing: no init\\n')", "os._exit(3)")
    cleaned: list[int] = []
    guest = Guest(dead, StatusPage(), stall_s=2, wall_limit_s=None, clean_up=lambda: cleaned.append(1))
    fill(guest.page, syscalls=1, state=4)
    assert dead.end(wait_s=10) == "exit status 3"
    message = (
        r"^the guest died \(exit status 3\): Kernel panic - not syncing: no init; spin\[33\] was running, in a panic, "
        r"at 1\.500000 s of the network's time; the end of its log:\n  Kernel panic - not syncing: no init$"
    )
    with pytest.raises(GuestCrashed, match=message):
        guest.watch()
    guest.close()
    guest.close()
    assert cleaned == [1]


def test_guest_that_gave_up_without_a_panic_is_told_by_its_last_words(tmp_path: Path) -> None:
    dead = child(tmp_path, "import os", "os.write(2, b'one\\ncannot map its memory\\n')", "os._exit(1)")
    guest = Guest(dead, StatusPage(), stall_s=2, wall_limit_s=None, clean_up=lambda: None)
    assert dead.end(wait_s=10) == "exit status 1"
    with pytest.raises(GuestCrashed, match=r"^the guest died \(exit status 1\): cannot map its memory; its kernel had"):
        guest.watch()
    guest.close()


def test_child_has_only_the_descriptors_and_environment_it_was_given(tmp_path: Path) -> None:
    page = StatusPage()
    os.ftruncate(page.fd, 8192)
    code = "import os; print(sorted(os.listdir('/proc/self/fd')), os.fstat(4).st_size, dict(os.environ))"
    ran = Child(
        [sys.executable, "-c", code], env={"A": "1", "LC_ALL": "C.UTF-8"}, fds={4: page.fd}, log=tmp_path / "log"
    )
    assert ran.end(wait_s=10) == "exit status 0"
    page.close()
    assert (
        tmp_path / "log"
    ).read_text() == "['0', '1', '2', '3', '4'] 8192 {'A': '1', 'LC_ALL': 'C.UTF-8'}\n"  # 3 is listdir's own


def test_child_kill_ends_and_reaps_it_once(tmp_path: Path) -> None:
    ran = sleeper(tmp_path)
    assert ran.alive()
    ran.kill()
    ran.kill()
    assert ran.end(wait_s=0) == "killed by SIGKILL"
    assert not Path(f"/proc/{ran.pid}").exists()


def test_scratch_folders_of_dead_owners_are_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "runtime_dir", lambda: tmp_path)
    mine = scratch.Scratch()
    dead = tmp_path / f"net-{os.getpid()}-1-1"  # our process id, in another life
    (dead / "deep").mkdir(parents=True)
    other = tmp_path / "net-of-somebody"
    other.mkdir()
    scratch.remove_stale.cache_clear()
    scratch.remove_stale()
    assert sorted(tmp_path.iterdir()) == sorted([mine.path, other])
    mine.close()
    mine.close()
    assert list(tmp_path.iterdir()) == [other]


def test_cpu_slots_spread_over_cpus_before_they_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "runtime_dir", lambda: tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5})
    slots = [scratch.CpuSlot() for _ in range(3)]
    assert [slot.cpu for slot in slots] == [3, 5, 3]
    slots[1].close()
    slots[1].close()
    again = scratch.CpuSlot()
    assert again.cpu == 5
    for slot in (*slots, again):
        slot.close()
