# SPDX-License-Identifier: MIT
"""So many bytes go there and come back, and that 1024 times in turn; both sides check each byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.connections import connections
from suites.common.pdpix import LINK, PORT, Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

ROUNDS = 1024
DELAY_S = 50e-6


@pytest.mark.flavors("tcp")
@pytest.mark.scenario("pair")
@pytest.mark.parametrize("size", [64, 1, 1460, 65536])
def test_each_message_comes_back_whole(network: Network, flavor: str, size: int) -> None:
    """Both sides have sent and received 1024 messages, byte by byte, on one connection that ends in order."""
    sides = Sides(network, flavor)
    delay_s = sides.delay(DELAY_S)
    there, here = sides.run("tcp-ping-pong", size=size, requests=ROUNDS)
    assert there["connections"] == here["connections"] == 1
    assert there["received"] == here["sent"] == ROUNDS
    assert here["received"] == there["sent"] == ROUNDS
    assert there["received_bytes"] == here["sent_bytes"] == ROUNDS * size
    assert here["received_bytes"] == there["sent_bytes"] == ROUNDS * size
    found = connections(network, LINK, PORT)
    if sides.alone:
        assert not found
        return
    assert here.latency_ns("min") >= 2e9 * delay_s
    (connection,) = found
    sides.check_carried(connection, up=ROUNDS * size, down=ROUNDS * size)
