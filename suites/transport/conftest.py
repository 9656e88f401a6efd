# SPDX-License-Identifier: MIT
"""The two hosts of the suite, over IPv4 unless a test asks for both versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.transport.hosts import Hosts

if TYPE_CHECKING:
    from suites.common.transfer import Install
    from testbed.backends.network import Network


@pytest.fixture
def hosts(request: pytest.FixtureRequest, network: Network, program: Install) -> Hosts:
    """Give client and server, with the IP version of the test's parameter; they know each other's MAC address."""
    made = Hosts(network, program, getattr(request, "param", 4))
    made.meet()
    return made
