# SPDX-License-Identifier: MIT
"""A LibOS on two machines: its library comes out of the nodes' stores, its bytes arrive."""

import pytest

from testbed.backends.network import Network
from testbed.backends.workload import finish

ROUNDS = 16


@pytest.mark.flavors("tcp")
@pytest.mark.scenario("lan", n=4)
def test_messages_come_back_whole(network: Network, flavor: str) -> None:
    h1, h2 = network["h1"], network["h2"]
    where = f"{h2.address()}:7000"
    server = h2.workload("tcp-ping-pong", libos=flavor, server=where, size=64, requests=ROUNDS)
    client = h1.workload("tcp-ping-pong", libos=flavor, client=where, size=64, requests=ROUNDS)
    there, here = finish(server, client)
    assert here["received_bytes"] == there["sent_bytes"] == ROUNDS * 64
