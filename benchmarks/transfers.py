# SPDX-License-Identifier: MIT
"""How quickly virtual time passes with traffic in it, and what captures cost."""

from __future__ import annotations

import json
import statistics
import time

from testbed.backends.base import BackendOptions
from testbed.backends.registry import backend
from testbed.errors import TestbedError
from testbed.scenarios.registry import scenario

RATE_BPS = 10_000_000
LOSS_RATIO = 0.01
DELAY_MS = 10.0
TRANSFER_S = 20
CAPTURE_PAIRS = 5  # transfers with and without, in turn: one pair differs by more than captures cost
LEAST_BYTES = 1_000_000  # of 25 MB that a path can carry in that time; a handshake is some hundred


def mptcp_s() -> float:
    """Measure 20 virtual seconds of MPTCP with captures, the guest's whole life included."""
    return _mptcp(capture=True)


def captures_percent() -> float:
    """Measure how much longer the same transfer takes with captures than without, in per cent, by their medians."""
    times_s: dict[bool, list[float]] = {False: [], True: []}
    for pair in range(CAPTURE_PAIRS):
        # Each goes first in its turn: the machine may be slowing down or getting faster meanwhile.
        for capture in (False, True) if pair % 2 == 0 else (True, False):
            times_s[capture].append(_mptcp(capture=capture))
    return 100 * (statistics.median(times_s[True]) / statistics.median(times_s[False]) - 1)


def _mptcp(*, capture: bool) -> float:
    """Run unmodified iperf3 over two paths; both must have carried data."""
    topology = scenario("two_path", rate_bps=RATE_BPS, loss_ratio=LOSS_RATIO, delay_ms=DELAY_MS)
    begin = time.perf_counter()
    network = backend("timetravel").up(topology, seed=1, options=BackendOptions(capture=capture))
    try:
        h1, h2 = network["h1"], network["h2"]
        h2.run(["ip", "mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "2"])
        h1.run(["ip", "mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "2"])
        # The server tells its second address, and the client joins it: by its rule per source over the other path.
        address = h2.address(link="r2-h2")
        h2.run(["ip", "mptcp", "endpoint", "add", address, "dev", "eth1", "signal"])
        h2.spawn(["mptcpize", "run", "iperf3", "-s", "-1"])
        h2.wait_listen(5201)
        client = h1.run(["mptcpize", "run", "iperf3", "-J", "-c", h2.address(), "-t", str(TRANSFER_S)], timeout=120)
        interfaces = h1.run(["ip", "-j", "-s", "link"]).stdout
    finally:
        network.down()
    took = time.perf_counter() - begin
    counters = json.loads(interfaces)
    _check(client.stdout, {entry["ifname"]: entry["stats64"]["tx"]["bytes"] for entry in counters})
    return took


def _check(report: str, sent_bytes: dict[str, int]) -> None:
    """Make sure that what was measured was MPTCP over both paths.

    Raises:
        TestbedError: One path carried next to nothing, so the figure would be that of something else.
    """
    rate_bps = json.loads(report)["end"]["sum_received"]["bits_per_second"]
    if min(sent_bytes["eth0"], sent_bytes["eth1"]) < LEAST_BYTES:
        raise TestbedError(f"MPTCP did not use both paths: {rate_bps / 1e6:.1f} Mbit/s, sent {sent_bytes}")
