# SPDX-License-Identifier: MIT
"""One process pushes 128 messages into a pipe; another one pops them in any pieces and checks each byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.pdpix import Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

MESSAGES = 128


@pytest.mark.flavors("pipe")
@pytest.mark.scenario("pair")
@pytest.mark.parametrize("size", [64, 1, 1_000_000])
def test_all_that_is_pushed_is_popped(network: Network, flavor: str, size: int) -> None:
    """128 pushes complete, and exactly their bytes are popped; a push longer than a pipe holds waits for room."""
    there, here = Sides(network, flavor).run("pipe-push-pop", size=size, requests=MESSAGES)
    assert there["received"] == here["sent"] == MESSAGES
    assert there["received_bytes"] == here["sent_bytes"] == MESSAGES * size
    assert here["received"] == there["sent"] == 0
