# SPDX-License-Identifier: MIT
"""Fixtures of several suites: a ``conftest.py`` imports those that it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common import queues

if TYPE_CHECKING:
    from suites.common.queues import Engines, Stream
    from testbed.backends.network import Network


@pytest.fixture(autouse=True)
def exact_time(network: Network) -> None:
    """Skip where frames cannot leave at exact times."""
    if not network.virtual_time:
        pytest.skip(f"the backend {network.backend} runs in real time: no frame leaves at an exact one")


@pytest.fixture
def engines(network: Network, flavor: str) -> Engines:
    """Give two engines in processes of their own."""
    return queues.engines(network, flavor)


@pytest.fixture
def stream(engines: Engines) -> Stream:
    """Give two connected queues: of sockets, or of a pipe."""
    return engines.stream()
