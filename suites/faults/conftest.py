# SPDX-License-Identifier: MIT
"""The engines of the suite: two, or two that are connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common import queues

if TYPE_CHECKING:
    from suites.common.queues import Engines, Stream
    from testbed.backends.network import Network


@pytest.fixture
def engines(network: Network, flavor: str) -> Engines:
    """Give two engines in processes of their own."""
    return queues.engines(network, flavor)


@pytest.fixture
def stream(engines: Engines) -> Stream:
    """Give two connected queues: of sockets, or of a pipe."""
    return engines.stream()
