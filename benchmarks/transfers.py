# SPDX-License-Identifier: MIT
"""How quickly virtual time passes with traffic in it, and what captures cost."""

from __future__ import annotations

import time

from testbed.backends.base import BackendOptions
from testbed.backends.registry import backend
from testbed.scenarios.registry import scenario

RATE_BPS = 10_000_000
LOSS_RATIO = 0.01
DELAY_MS = 10.0
TRANSFER_S = 20


def mptcp_s() -> float:
    """Measure 20 virtual seconds of MPTCP with captures, the guest's whole life included."""
    return _mptcp(capture=True)


def captures_percent() -> float:
    """Measure how much longer the same transfer takes with captures than without, in per cent."""
    off = _mptcp(capture=False)
    return 100 * (_mptcp(capture=True) / off - 1)


def _mptcp(*, capture: bool) -> float:
    """Run unmodified iperf3 over two paths; both must have carried data."""
    topology = scenario("two_path", rate_bps=RATE_BPS, loss_ratio=LOSS_RATIO, delay_ms=DELAY_MS)
    begin = time.perf_counter()
    network = backend("timetravel").up(topology, seed=1, options=BackendOptions(capture=capture))
    try:
        h1, h2 = network["h1"], network["h2"]
        h2.run(["ip", "mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "2"])
        h1.run(["ip", "mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "2"])
        second = h1.interfaces[1]
        address = str(second.addresses[0]).partition("/")[0]
        h1.run(["ip", "mptcp", "endpoint", "add", address, "dev", second.name, "subflow"])
        h2.spawn(["mptcpize", "run", "iperf3", "-s", "-1"])
        h2.wait_listen(5201)
        h1.run(["mptcpize", "run", "iperf3", "-c", h2.address(), "-t", str(TRANSFER_S)], timeout=120)
    finally:
        network.down()
    return time.perf_counter() - begin
