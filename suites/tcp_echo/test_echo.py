# SPDX-License-Identifier: MIT
"""Clients send requests of one size and get each back byte by byte; their latencies are in the record of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.connections import connections
from suites.common.pdpix import LINK, PORT, Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network
    from testbed.backends.workload import Report

DELAY_S = 50e-6

sizes = pytest.mark.parametrize("size", [64, 1024], ids=["64B", "1024B"])
counts = pytest.mark.parametrize("requests", [128, 1024], ids=["128-requests", "1024-requests"])
modes = pytest.mark.parametrize("mode", ["sequential", "concurrent"])


def check(sides: Sides, *, size: int, clients: int, requests: int, mode: str, threads: int = 1) -> Report:
    """Run the echo; both sides' counts, the histogram and the wire agree. Give the client's report."""
    there, here = sides.run("tcp-echo", size=size, clients=clients, requests=requests, mode=mode, threads=threads)
    total = clients * requests
    assert there["connections"] == here["connections"] == clients
    assert here["sent"] == here["received"] == total
    # A stream has no messages: the server may pop a request in pieces, or with the next one.
    assert here["sent_bytes"] == here["received_bytes"] == total * size
    assert there["sent_bytes"] == there["received_bytes"] == total * size
    check_histogram(here, total)
    found = connections(sides.network, LINK, PORT)
    if sides.alone:
        assert not found
        return here
    assert len(found) == clients
    for connection in found:
        sides.check_carried(connection, up=requests * size, down=requests * size)
    return here


def check_histogram(report: Report, count: int) -> None:
    """Each round trip is in the histogram, whose percentiles are in order and in their buckets."""
    latency = report["latency"]
    assert latency["count"] == sum(number for _, number in latency["buckets"]) == count
    names = ("min", "p50", "p90", "p99", "p999", "max")
    figures = [report.latency_ns(name) for name in names]
    assert figures == sorted(figures)
    assert figures[0] > 0
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        below = sum(number for upper_ns, number in latency["buckets"] if upper_ns <= report.latency_ns(name))
        assert below >= share * count, name


@pytest.mark.flavors("tcp")
@pytest.mark.scenario("pair")
@sizes
@counts
@modes
def test_one_client(network: Network, flavor: str, size: int, requests: int, mode: str) -> None:
    """One client; concurrent is the same conversation as sequential."""
    sides = Sides(network, flavor)
    delay_s = sides.delay(DELAY_S)
    here = check(sides, size=size, clients=1, requests=requests, mode=mode)
    assert sides.alone or here.latency_ns("min") >= 2e9 * delay_s


@pytest.mark.flavors("tcp")
@pytest.mark.scenario("pair")
@sizes
@counts
@modes
def test_32_clients(network: Network, flavor: str, size: int, requests: int, mode: str) -> None:
    """32 clients of one engine, one after the other or all at once."""
    check(Sides(network, flavor), size=size, clients=32, requests=requests, mode=mode)


@pytest.mark.flavors("tcp", "threads")
@pytest.mark.scenario("pair")
@sizes
@counts
@modes
@pytest.mark.parametrize("threads", [2, 4], ids=["2-threads", "4-threads"])
def test_32_clients_in_threads(
    network: Network, flavor: str, *, size: int, requests: int, mode: str, threads: int
) -> None:
    """32 clients, shared out to engines in threads of one process."""
    check(Sides(network, flavor), size=size, clients=32, requests=requests, mode=mode, threads=threads)
