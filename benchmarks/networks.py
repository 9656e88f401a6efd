# SPDX-License-Identifier: MIT
"""How quickly networks come up, and what they weigh: in the guest, on the host's kernel, and under Mininet."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from benchmarks.quiet import settle
from testbed.backends.base import BackendOptions
from testbed.backends.registry import backend
from testbed.errors import CapabilityError
from testbed.scenarios.registry import scenario

LAN_HOSTS = 100
_SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's Mininet lies in the path of Debian's own Python

# Brings a LAN of the same size up under Mininet, with Linux bridges, and prints how long that took. No controller, no
# command in a host: the least that Mininet can do.
_MININET = """
import sys, time
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import SingleSwitchTopo
net = Mininet(topo=SingleSwitchTopo(k=int(sys.argv[1])), switch=LinuxBridge, controller=None, build=False)
begin = time.perf_counter()
try:
    net.build()
    net.start()
    print(time.perf_counter() - begin)
finally:
    net.stop()
"""


def up_s(scenario_name: str, backend_name: str, **params: object) -> float:
    """Measure how long a network takes to come up, in seconds of wall time; taking it down is not counted."""
    topology = scenario(scenario_name, **params)
    begin = time.perf_counter()
    network = backend(backend_name).up(topology)
    took = time.perf_counter() - begin
    network.down()
    return took


def boot_s() -> float:
    """Measure from the start of a guest to its first reply that a test can use: ``single`` is up."""
    topology = scenario("single")
    begin = time.perf_counter()
    network = backend("timetravel").up(topology, options=BackendOptions(capture=False))
    network.now()
    took = time.perf_counter() - begin
    network.down()
    return took


def lan_guest_s() -> float:
    """Measure ``lan(100)`` in a guest, the guest's boot included."""
    return up_s("lan", "timetravel", n=LAN_HOSTS)


def lan_host_s() -> float:
    """Measure ``lan(100)`` on the host's kernel."""
    return up_s("lan", "netns", n=LAN_HOSTS)


def lan_mininet_s() -> float:
    """Measure a LAN of 100 hosts under Mininet with a Linux bridge.

    Raises:
        CapabilityError: Mininet or root is missing.
    """
    if os.geteuid():
        raise CapabilityError("Mininet needs root")
    if (
        not Path(_SYSTEM_PYTHON).exists()
        or subprocess.run([_SYSTEM_PYTHON, "-c", "import mininet.net"], check=False, capture_output=True).returncode
    ):
        raise CapabilityError("Mininet is not installed (apt-get install -y mininet bridge-utils)")
    done = subprocess.run(
        [_SYSTEM_PYTHON, "-c", _MININET, str(LAN_HOSTS)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    if done.returncode:
        raise CapabilityError(f"Mininet failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return float(done.stdout.split()[-1])


def lan_ratio() -> float:
    """Measure how many times longer Mininet takes than the backend ``netns``, one right after the other."""
    mininet_s = lan_mininet_s()
    settle()
    return mininet_s / lan_host_s()


def memory_mib() -> float:
    """Measure what a guest with ``lan(10)`` weighs: PSS of all its processes, its memory file included.

    Raises:
        CapabilityError: The kernel shows no ``smaps_rollup``.
    """
    before = _children(os.getpid())
    network = backend("timetravel").up(scenario("lan", n=10))
    try:
        processes = _children(os.getpid()) - before
        if not processes:
            raise CapabilityError("the guest's processes were not found below this one")
        return sum(_pss_kib(pid) for pid in processes) / 1024
    finally:
        network.down()


def _children(pid: int) -> set[int]:
    """Find all processes below one (proc_pid_task_children(5))."""
    found: set[int] = set()
    todo = [pid]
    while todo:
        for task in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            try:
                below = {int(word) for word in task.read_text().split()}
            except OSError:
                continue  # it ended between being listed and being read
            todo += below - found
            found |= below
    return found


def _pss_kib(pid: int) -> int:
    """Give the proportional set size of a process, shared memory included (proc_pid_smaps(5))."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError as error:
        raise CapabilityError(f"cannot read the memory of process {pid}: {error.strerror}") from error
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
