# SPDX-License-Identifier: MIT
"""The ghost of the suite: unknown to the other side, or introduced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.fixtures import exact_time
from suites.common.ghost import Ghost
from suites.cradle.by_hand import HandTcp

if TYPE_CHECKING:
    from testbed.backends.network import Network

__all__ = ["exact_time"]


@pytest.fixture
def stranger(network: Network) -> Ghost:
    """Give a ghost beside h1 that h2 knows nothing of."""
    return Ghost(network)


@pytest.fixture
def ghost(stranger: Ghost) -> Ghost:
    """Give a ghost beside h1 whose link-layer address h2 knows."""
    stranger.introduce()
    return stranger


@pytest.fixture
def acquainted(network: Network) -> None:
    """Let h1 and h2 know each other's link-layer addresses, so that no first packet waits for them."""
    for version in (4, 6):
        network["h1"].run(["ping", "-c1", network["h2"].address(version)])


@pytest.fixture
def tcp(request: pytest.FixtureRequest, ghost: Ghost) -> HandTcp:
    """Give the ghost's side of a TCP connection, over the IP version of the test's parameter."""
    return HandTcp(ghost, request.getfixturevalue("version") if "version" in request.fixturenames else 4)
