# SPDX-License-Identifier: MIT
"""1024 bytes over the loopback, a pause of one second, and that a hundred thousand times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.backends.network import Network
    from testbed.backends.node import Node

pytestmark = pytest.mark.scenario("single")

PORT = 5000
BLOCK_BYTES = 1024
PROMPTLY_S = 1e-3  # connecting and ending take some hundred system calls of 1 us each


def transfer(node: Node, program: Callable[[Node, str], str], rounds: int) -> float:
    """Run server and client to their ends, check both counts, and give how long the client took in seconds."""
    server = node.spawn([program(node, "tcp-simple-server"), str(PORT)])
    node.wait_listen(PORT)
    client = node.run([program(node, "tcp-simple-client"), str(PORT), str(rounds)], timeout=rounds + 60.0)
    total = rounds * BLOCK_BYTES
    assert client.stdout == f"sent {rounds} rounds, {total} bytes\n"
    assert server.wait().check().stdout == f"received {rounds} rounds, {total} bytes, 0 wrong, 0 left over\n"
    return client.duration_s


@pytest.mark.real_time_budget(10)
def test_ten_rounds_arrive_whole_and_take_ten_seconds(network: Network, program: Callable[[Node, str], str]) -> None:
    """Ten blocks are compared byte by byte, and the client ends ten seconds after its start."""
    tolerance_s = PROMPTLY_S if network.backend == "timetravel" else 0.5
    assert transfer(network["h1"], program, 10) == pytest.approx(10, abs=tolerance_s)


@pytest.mark.real_time_budget(100_000)
def test_hundred_thousand_rounds_take_27_8_hours(network: Network, program: Callable[[Node, str], str]) -> None:
    """100,000 blocks arrive whole, one per second: 27 hours, 46 minutes and 40 seconds on the node's clock."""
    assert transfer(network["h1"], program, 100_000) == pytest.approx(100_000, abs=PROMPTLY_S)
