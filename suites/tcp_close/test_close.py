# SPDX-License-Identifier: MIT
"""32 connections that carry nothing: one side closes, the other sees the end and closes, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.connections import connections
from suites.common.pdpix import LINK, PORT, Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

CLIENTS = 32


@pytest.mark.flavors("tcp")
@pytest.mark.scenario("pair")
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@pytest.mark.parametrize("closes", ["client", "server"])
def test_the_other_side_sees_the_end(network: Network, flavor: str, mode: str, closes: str) -> None:
    """All connections are made, and end in order: one FIN from each side, from the closing one first, and no RST."""
    sides = Sides(network, flavor)
    sides.delay(500e-6)
    there, here = sides.run("tcp-close", clients=CLIENTS, mode=mode, closes=closes)
    assert there["connections"] == here["connections"] == CLIENTS
    found = connections(network, LINK, PORT)
    if sides.alone:
        assert not found
        return
    assert len(found) == CLIENTS
    for connection in found:
        sides.check_carried(connection, up=0, down=0)
        first, second = connection.client.fin_s, connection.server.fin_s
        if closes == "server":
            first, second = second, first
        assert first is not None
        assert second is None or first < second
