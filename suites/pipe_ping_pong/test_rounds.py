# SPDX-License-Identifier: MIT
"""A message goes through one pipe and comes back through another, 128 times in turn; both sides check each byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.pdpix import Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

ROUNDS = 128


@pytest.mark.flavors("pipe")
@pytest.mark.scenario("pair")
@pytest.mark.parametrize("size", [64, 1, 1_000_000])
def test_each_message_comes_back_whole(network: Network, flavor: str, size: int) -> None:
    """Both processes have sent and received 128 messages; one longer than a pipe holds goes in pieces."""
    there, here = Sides(network, flavor).run("pipe-ping-pong", size=size, requests=ROUNDS)
    assert there["received"] == here["sent"] == ROUNDS
    assert here["received"] == there["sent"] == ROUNDS
    assert there["received_bytes"] == here["sent_bytes"] == ROUNDS * size
    assert here["received_bytes"] == there["sent_bytes"] == ROUNDS * size
    assert here["latency"]["count"] == ROUNDS
