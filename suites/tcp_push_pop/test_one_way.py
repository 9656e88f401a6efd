# SPDX-License-Identifier: MIT
"""The client pushes 1024 messages and closes; the server pops them in any pieces, checks each byte, sees the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.connections import connections
from suites.common.pdpix import LINK, PORT, Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

MESSAGES = 1024


@pytest.mark.flavors("tcp")
@pytest.mark.scenario("pair")
@pytest.mark.parametrize("size", [64, 1, 1460, 65536])
def test_all_that_is_pushed_is_popped(network: Network, flavor: str, size: int) -> None:
    """1024 pushes complete, and the server has popped exactly their bytes before the end of the stream."""
    sides = Sides(network, flavor)
    sides.delay(50e-6)
    there, here = sides.run("tcp-push-pop", size=size, requests=MESSAGES)
    assert there["connections"] == here["connections"] == 1
    assert there["received"] == here["sent"] == MESSAGES
    assert there["received_bytes"] == here["sent_bytes"] == MESSAGES * size
    assert here["received"] == there["sent"] == 0
    found = connections(network, LINK, PORT)
    if sides.alone:
        assert not found
        return
    (connection,) = found
    sides.check_carried(connection, up=MESSAGES * size, down=0)
