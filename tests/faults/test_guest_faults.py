# SPDX-License-Identifier: MIT
"""Guests that panic, warn, spin, loop, eat their memory, multiply or flood: one run of them all, one verdict each.

All are cases of one suite, with good cases between them: a disaster of one case changes nothing for the next.
"""

from __future__ import annotations

import fcntl
import json
import pickle
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults import leaks
from tests.faults.conftest import make_workshop, need

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.faults.workshop import Workshop

pytestmark = pytest.mark.guest

# semop(2) with more operations than kvmalloc gives is a WARN_ON_ONCE once the limit kernel.sem allows them
# (ipc/sem.c do_semtimedop, mm/util.c __kvmalloc_node_noprof of Linux 6.12).
SUITE = '''
import pytest

PYTHON = "/usr/bin/python3"
WARN = """
import ctypes
open("/proc/sys/kernel/sem", "w").write("250 32000 2147483647 128")
libc = ctypes.CDLL(None, use_errno=True)
libc.semop(libc.semget(0, 1, 0o1600), ctypes.create_string_buffer(64), 0x7FFFFFFF)
"""
PANIC = 'open("/proc/sys/kernel/panic_on_warn", "w").write("1")' + WARN
BOMB = """
import os
print("boom", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""

def python(network, program, **how):
    return network["h1"].run([PYTHON, "-I", "-S", "-c", program], **how)

def tight(network):
    guest = network.session.peer
    guest._stall_s, guest._wall_limit_s = 1, 6

def test_a_good(network):
    assert network["h1"].run(["echo", "first"]).stdout == "first\\n"

def test_panic(network):
    network["h1"].run(["echo", "before the panic"])
    network["h1"].run(["ping", "-c1", network["h2"].address()])
    python(network, PANIC)

def test_warning(network):
    python(network, WARN)

def test_taint(network):
    network["h1"].write("/proc/sys/kernel/tainted", b"512")

def test_spin(network):
    tight(network)
    network["h1"].run(["echo", "before the spin"])
    python(network, "while True: pass")

def test_endless_calls(network):
    python(network, "import os\\nwhile True: os.getppid()", timeout=0.02)

def test_wall_limit(network):
    tight(network)
    python(network, "import os\\nwhile True: os.getppid()")

@pytest.mark.memory(64)
def test_memory(network):
    python(network, "hog = []\\nwhile True: hog.append(bytearray(1 << 20))", check=False)

@pytest.mark.memory(64)
def test_bomb(network):
    tight(network)
    network["h1"].run(["echo", "before the bomb"])
    python(network, BOMB)

def test_flood(network):
    quiet = network["h2"].spawn(["sh", "-c", "echo quiet; exec sleep 1000"])
    done = network["h1"].run([PYTHON, "-I", "-S", "-c",
        "import os, signal\\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\\n"
        "while True: os.write(1, b'0123456789abcde\\\\n' * 65536)"], check=False)
    assert done.returncode == -25
    assert network["h1"].run(["echo", "after the flood"]).stdout == "after the flood\\n"
    assert quiet.running

def test_init_killed(network):
    network["h1"].run(["sh", "-c", "kill -9 1; kill -STOP 1; kill -SEGV 1; echo alive"])
    assert network["h1"].run(["echo", "PID 1 lives"]).stdout == "PID 1 lives\\n"

def test_reboot(network):
    python(network, "import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)")

def test_z_good(network):
    assert network["h1"].run(["echo", "last"]).stdout == "last\\n"
'''


@dataclass
class Disasters:
    """One run of all disasters.

    Args:
        workshop: Its folder, with the run.
        done: The command that ended.
        wall_s: How long it took.
        before: The host before it.
    """

    workshop: Workshop
    done: subprocess.CompletedProcess[str]
    wall_s: float
    before: leaks.Traces

    def reason(self, name: str, verdict: str) -> str:
        """Give the reason of a case, whose verdict must be this one."""
        case: dict[str, Any] = self.workshop.case(name)
        assert case["verdict"] == verdict, case
        return str(case["reason"])

    def shown(self, name: str) -> str:
        """Give what the terminal shows of a failed case."""
        title = rf"^_+ test_{name} _+$"
        (text,) = re.findall(rf"(?ms){title}\n(.*?)(?=^_{{5,}} |^(?:PASS|FAIL|SKIP): |\Z)", self.done.stdout)
        return str(text)


@pytest.fixture(scope="module")
def disasters(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Disasters:
    """Run all disasters once, also where several workers of xdist want the outcome: the first runs, the others wait."""
    need("timetravel")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "disasters"
    with (folder.parent / "disasters.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return pickle.loads((folder / "outcome").read_bytes())  # type: ignore[no-any-return]
        folder.mkdir()
        workshop = make_workshop(folder)
        workshop.suite(SUITE)
        before = leaks.traces()
        begin = time.monotonic()
        # Wide limits: on a busy host the good cases take their time. Those that are ended by a limit have narrow ones.
        done = workshop.run("-n", "2", "--stall", "30", "--wall-limit", "120")
        found = Disasters(workshop, done, time.monotonic() - begin, before)
        (folder / "outcome").write_bytes(pickle.dumps(found))
    return found


def test_the_worst_verdict_decides_the_exit_code(disasters: Disasters) -> None:
    assert disasters.done.returncode == 6, disasters.done.stdout + disasters.done.stderr
    run = disasters.workshop.document()
    assert (run["state"], run["exit_code"]) == ("finished", 6)


def test_good_cases_between_disasters_pass(disasters: Disasters) -> None:
    for name in ("a_good", "z_good", "flood", "init_killed"):
        assert disasters.reason(name, "passed") == ""


def test_panic_is_crashed_with_the_kernel_s_words(disasters: Disasters) -> None:
    reason = disasters.reason("panic", "crashed")
    assert re.match(
        r"the guest died \(killed by SIGABRT\): Kernel panic - not syncing: kernel: panic_on_warn set .*; "
        r"python3\[\d+\] was running, in a panic, at 0\.\d+ s",
        reason,
    )
    shown = disasters.shown("panic")
    assert "Kernel panic - not syncing: kernel: panic_on_warn set" in shown
    assert re.search(r"WARNING: CPU: 0 PID: \d+ at mm/util\.c", shown), "the trace of what led to the panic"
    assert str(disasters.workshop.record("panic")) in shown


def test_panic_keeps_what_was_recorded_before(disasters: Disasters) -> None:
    record = disasters.workshop.record("panic")
    assert (record / "processes/000-h1-echo/stdout").read_text() == "before the panic\n"
    assert "1 received" in (record / "processes/001-h1-ping/stdout").read_text()
    assert "state: running" in (record / "processes/002-h1-python3/status").read_text()
    assert "Kernel panic" in (record / "console.log").read_text()


def test_warning_in_a_passing_case_is_crashed_with_its_log(disasters: Disasters) -> None:
    reason = disasters.reason("warning", "crashed")
    assert re.match(r"kernel warning: WARNING: CPU: 0 PID: \d+ at mm/util\.c:\d+ \S*kvmalloc_node", reason)
    assert "do_semtimedop" in disasters.shown("warning")
    assert "Call Trace:" in (disasters.workshop.record("warning") / "kernel.log").read_text()


def test_taint_in_a_passing_case_is_crashed(disasters: Disasters) -> None:
    reason = disasters.reason("taint", "crashed")
    assert reason == "kernel taint: the kernel was tainted: kernel issued a warning (0x200)"


def test_spin_without_system_calls_names_the_process(disasters: Disasters) -> None:
    reason = disasters.reason("spin", "timed out")
    assert re.fullmatch(
        r"the guest made no progress for 1 s of wall time: python3\[\d+\] was running, in user mode, "
        r"which made no system call, at \d\.\d+ s of the network's time",
        reason,
    )
    assert (disasters.workshop.record("spin") / "processes/000-h1-echo/stdout").read_text() == "before the spin\n"


def test_endless_system_calls_end_by_the_network_s_clock(disasters: Disasters) -> None:
    reason = disasters.reason("endless_calls", "timed out")
    assert reason.endswith(": killed after 0.02 s of the network's time")
    assert reason.startswith("h1: /usr/bin/python3 ")
    status = (disasters.workshop.record("endless_calls") / "processes/000-h1-python3/status").read_text()
    assert "signal: SIGKILL" in status


def test_wall_limit_ends_what_only_seems_to_make_progress(disasters: Disasters) -> None:
    reason = disasters.reason("wall_limit", "timed out")
    assert re.match(r"the network has lived for its 6 s of wall time: python3\[\d+\] was running, in ", reason)


def test_eaten_memory_is_said_so(disasters: Disasters) -> None:
    reason = disasters.reason("memory", "crashed")
    assert re.match(r"out of memory: Out of memory: Killed process \d+ \(python3\)", reason)
    assert "hint: @pytest.mark.memory(MIB)" in reason


def test_fork_bomb_is_ended(disasters: Disasters) -> None:
    reason = disasters.reason("bomb", "timed out")
    assert re.match(r"the network has lived for its 6 s of wall time: python3\[\d+\] was running", reason)
    assert (disasters.workshop.record("bomb") / "processes/000-h1-echo/stdout").read_text() == "before the bomb\n"


def test_flood_is_limited_and_marked_and_loses_nothing_else(disasters: Disasters) -> None:
    record = disasters.workshop.record("flood")
    folder = record / "processes/001-h1-python3"
    assert (folder / "stdout").stat().st_size == 64 << 20
    status = (folder / "status").read_text()
    assert "signal: SIGXFSZ (25)" in status
    assert "stdout: cut off at the limit of 67108864 bytes" in status
    assert (record / "processes/000-h2-sh/stdout").read_text() == "quiet\n"
    assert (record / "processes/002-h1-echo/stdout").read_text() == "after the flood\n"
    (process,) = [
        entry
        for entry in json.loads((record / "record.json").read_text())["processes"]
        if entry["folder"].endswith("001-h1-python3")
    ]
    assert (process["stdout_bytes"], process["returncode"]) == (64 << 20, -25)


def test_power_off_by_a_program_is_a_crash(disasters: Disasters) -> None:
    assert disasters.reason("reboot", "crashed").startswith("the guest died (")


def test_the_host_is_unharmed(disasters: Disasters) -> None:
    assert leaks.await_no_more_than(disasters.before) == {}
    assert list(disasters.workshop.temporary.glob("testbed*")) == []
    assert leaks.scratch(disasters.workshop.env) == []
    assert leaks.await_no_members(str(disasters.workshop.folder)) == {}


def test_disasters_are_over_soon(disasters: Disasters) -> None:
    assert disasters.wall_s < 60


def test_crash_under_exec_exits_6_with_the_kernel_s_words(tmp_path: Path) -> None:
    need("timetravel")
    workshop = make_workshop(tmp_path)
    taint = "echo 512 > /proc/sys/kernel/tainted; echo said before"
    done = workshop.testbed("exec", "--run-dir", str(workshop.run_dir), "--", "sh", "-c", taint)
    assert done.returncode == 6, done.stderr
    assert done.stdout == "said before\n"
    assert "error: kernel taint: the kernel was tainted: kernel issued a warning (0x200)" in done.stderr
    assert f"hint: the record: {workshop.run_dir}/cases/exec/sh/1" in done.stderr
    run = workshop.document()
    assert (run["exit_code"], run["cases"][0]["verdict"]) == (6, "crashed")
