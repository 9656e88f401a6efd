# SPDX-License-Identifier: MIT
"""What the backend ``mininet`` adds to the time that Mininet itself takes for the same network."""

from __future__ import annotations

import subprocess
import time

from benchmarks.figure import Sample
from benchmarks.networks import LAN_HOSTS, up_s
from benchmarks.quiet import settle
from testbed.backends.mininet import PATH
from testbed.backends.registry import backend
from testbed.errors import CapabilityError
from testbed.scenarios.mininet_python import mininet_python

# The same network by Mininet alone, in a process of its own as a user has it: no controller, no command in a host.
_ALONE = """
import sys, time
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import SingleSwitchTopo
net = Mininet(topo=SingleSwitchTopo(k=int(sys.argv[1])), switch=LinuxBridge, controller=None, build=False)
try:
    net.build()
    net.start()
    print(time.monotonic())
finally:
    net.stop()
"""


def added_percent() -> Sample:
    """Measure by how much the backend's bring-up takes longer than Mininet's, one right after the other, in per cent.

    Both begin with the start of Mininet's Python and end when the network is up; the backend's includes the agent,
    addresses of IPv6, routes and captures, which Mininet has not.

    Raises:
        CapabilityError: Mininet cannot run here.
    """
    backend("mininet").capabilities()
    alone_s = mininet_s()
    settle()
    ours_s = up_s("lan", "mininet", n=LAN_HOSTS)
    return Sample((ours_s / alone_s - 1) * 100, {"mininet_s": alone_s, "backend_s": ours_s, "hosts": LAN_HOSTS})


def mininet_s() -> float:
    """Measure Mininet alone: from the start of its process until its network is up, in seconds.

    Raises:
        CapabilityError: It failed; has its last word.
    """
    begin = time.monotonic()
    done = subprocess.run(
        [mininet_python(), "-I", "-c", _ALONE, str(LAN_HOSTS)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": PATH},
    )
    if done.returncode:
        raise CapabilityError(f"Mininet failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return float(done.stdout.split()[-1]) - begin
