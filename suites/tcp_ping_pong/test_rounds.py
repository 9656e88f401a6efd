# SPDX-License-Identifier: MIT
"""So many bytes go there and come back, and that 1024 times in turn; both sides check each byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.pdpix import Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

ROUNDS = 1024


@pytest.mark.flavors("tcp")
@pytest.mark.scenario("pair")
@pytest.mark.parametrize("size", [64, 1, 1460, 65536])
def test_each_message_comes_back_whole(network: Network, flavor: str, size: int) -> None:
    there, here = Sides(network, flavor).run("tcp-ping-pong", size=size, requests=ROUNDS)
    assert there["received"] == here["sent"] == ROUNDS
    assert here["received"] == there["sent"] == ROUNDS
    assert there["received_bytes"] == here["received_bytes"] == ROUNDS * size
