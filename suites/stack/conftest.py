# SPDX-License-Identifier: MIT
"""The LibOS of the suite, in h1, and the ghost that it talks to, beside h2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.fixtures import exact_time
from suites.common.ghost import Ghost
from suites.stack.by_hand import HandTcp
from testbed.libos.library import find_library

if TYPE_CHECKING:
    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network

__all__ = ["exact_time"]


@pytest.fixture
def ghost(network: Network) -> Ghost:
    """Give a ghost beside h2."""
    return Ghost(network, near="h2", far="h1")


@pytest.fixture
def settings(ghost: Ghost) -> dict[str, object]:
    """Give the settings of the stack: it knows the ghost for ever. A module may have others."""
    return {"arp_table": {ghost.addresses[4]: ghost.mac}}


@pytest.fixture
def libos(network: Network, flavor: str, ghost: Ghost, settings: dict[str, object]) -> LibOS:
    """Give the LibOS, which knows the ghost's link-layer address unless ``settings`` say otherwise."""
    if not find_library(flavor).owns_interface:
        ghost.introduce()
    return network["h1"].libos(flavor, config={"inetstack": settings})


@pytest.fixture
def tcp(ghost: Ghost, libos: LibOS) -> HandTcp:
    """Give the ghost's side of a TCP connection with the LibOS."""
    return HandTcp(ghost, libos)
