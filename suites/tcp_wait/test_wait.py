# SPDX-License-Identifier: MIT
"""A push or pop is pending when its own queue is closed, or its peer closes: it completes, and says what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.pdpix import Sides

if TYPE_CHECKING:
    from testbed.backends.network import Network

# What Linux does: closing with unread data resets the connection (RFC 2525, section 2.17), else the peer sees the end.
OUTCOMES = {
    ("push", "close-wait"): "ECANCELED",
    ("push", "async-close-wait"): "ECONNRESET",
    ("push", "async-close-pending-wait"): "ECONNRESET",
    ("pop", "close-wait"): "ECANCELED",
    ("pop", "async-close-wait"): "end",
    ("pop", "async-close-pending-wait"): "end",
}


@pytest.mark.flavors("tcp")
@pytest.mark.scenario("pair")
@pytest.mark.parametrize(("operation", "how"), OUTCOMES)
def test_what_is_pending_completes(network: Network, flavor: str, operation: str, how: str) -> None:
    """The operation of the client ends as on Linux, and the server has seen one client."""
    sides = Sides(network, flavor)
    sides.delay(500e-6)
    there, here = sides.run("tcp-wait", operation=operation, how=how)
    assert there["connections"] == here["connections"] == 1
    assert here["outcome"] == OUTCOMES[operation, how]
