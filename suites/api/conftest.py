# SPDX-License-Identifier: MIT
"""The engines of the suite: one, two, or two that are connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.fixtures import engines, stream

if TYPE_CHECKING:
    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network

__all__ = ["engines", "stream"]


@pytest.fixture
def libos(network: Network, flavor: str) -> LibOS:
    """Give one engine, in h1."""
    return network["h1"].libos(flavor)
