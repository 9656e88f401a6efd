# SPDX-License-Identifier: MIT
"""The kernel's complaints, from golden logs: one file for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.harness.kernlog import EXCERPT_LINES, PATTERNS, Trouble, complaints, taint_complaint, taint_words

LOGS = Path(__file__).parent / "logs"

GOLDEN: dict[str, list[tuple[Trouble, str]]] = {
    "clean": [],
    "warning": [
        (Trouble.WARNING, "WARNING: CPU: 0 PID: 33 at net/ipv4/tcp.c:2900 tcp_recvmsg_locked+0x5d2/0x8a0"),
    ],
    "bug-cut": [
        (Trouble.BUG, "kernel BUG at net/core/skbuff.c:192!"),
        (Trouble.PANIC, "Kernel panic - not syncing: Fatal exception in interrupt"),
    ],
    "lockdep": [(Trouble.LOCKDEP, "WARNING: possible circular locking dependency detected")],
    "rcu": [(Trouble.LOCKDEP, "WARNING: suspicious RCU usage")],
    "sleeping": [(Trouble.LOCKDEP, "BUG: sleeping function called from invalid context at mm/page_alloc.c:5192")],
    "oops": [(Trouble.OOPS, "BUG: unable to handle page fault for address: ffff888000000010")],
    "gpf": [
        (
            Trouble.OOPS,
            "general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1]",
        )
    ],
    "kasan": [(Trouble.SANITIZER, "BUG: KASAN: slab-use-after-free in tcp_v4_rcv+0x123/0x456")],
    "ubsan": [(Trouble.SANITIZER, "UBSAN: shift-out-of-bounds in net/sched/sch_netem.c:700:12")],
    "stall": [(Trouble.STALL, "rcu: INFO: rcu_sched self-detected stall on CPU")],
    "hung": [(Trouble.STALL, "INFO: task ip:44 blocked for more than 120 seconds.")],
    "softlockup": [(Trouble.STALL, "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [kworker/0:1:12]")],
    "oom": [
        (
            Trouble.OUT_OF_MEMORY,
            "Out of memory: Killed process 61 (python3) total-vm:500000kB, anon-rss:480000kB",
        )
    ],
    "leak": [(Trouble.LEAK, "unregister_netdevice: waiting for eth0 to become free. Usage count = 2")],
    "panic": [(Trouble.PANIC, "Kernel panic - not syncing: sysrq triggered crash")],
    "refcount": [
        (Trouble.WARNING, "refcount_t: underflow; use-after-free."),
        (Trouble.WARNING, "WARNING: CPU: 0 PID: 50 at net/core/sock.c:100 sk_free+0xba/0x110"),
    ],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_log(name: str) -> None:
    found = complaints((LOGS / f"{name}.log").read_text())
    assert [(complaint.trouble, complaint.headline) for complaint in found] == GOLDEN[name]


def test_every_log_is_judged_and_every_trouble_has_one() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == set(GOLDEN)
    shown = {trouble for found in GOLDEN.values() for trouble, _ in found}
    assert shown == {trouble for trouble, _ in PATTERNS} == set(Trouble) - {Trouble.TAINT}


def test_excerpt_is_the_whole_trace_without_times() -> None:
    (found,) = complaints((LOGS / "warning.log").read_text())
    lines = found.excerpt.splitlines()
    assert lines[0] == "------------[ cut here ]------------"
    assert lines[-1] == "---[ end trace 0000000000000000 ]---"
    assert len(lines) == 10


def test_excerpt_of_an_endless_trace_is_cut() -> None:
    log = "1.0 4 WARNING: CPU: 0 at x.c:1\n" + "1.0 4  [<60021231>] ? f+0x1/0x2\n" * 500
    assert [len(found.excerpt.splitlines()) for found in complaints(log)] == [EXCERPT_LINES]


def test_taint_says_its_words() -> None:
    assert taint_complaint(0) is None
    assert taint_words(0x200 | 0x80 | 1 << 40) == ["kernel died (oops or BUG)", "kernel issued a warning", "bit 40"]
    found = taint_complaint(0x200)
    assert found is not None
    assert found.headline == "the kernel was tainted: kernel issued a warning (0x200)"
