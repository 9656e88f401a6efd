# SPDX-License-Identifier: MIT
"""The two hosts of the suite, over IPv4 unless a test asks for both versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.transport.hosts import Hosts

if TYPE_CHECKING:
    from suites.common.transfer import Install
    from testbed.backends.network import Network

# All other modules check times to a fraction of a millisecond, or act between two packets.
FIT_FOR_REAL_TIME = ("test_streams", "test_datagrams", "test_congestion")


@pytest.fixture
def hosts(request: pytest.FixtureRequest, network: Network, program: Install) -> Hosts:
    """Give client and server, with the IP version of the test's parameter; they know each other's MAC address."""
    if not network.virtual_time and request.path.stem not in FIT_FOR_REAL_TIME:
        pytest.skip("what it checks is exact in virtual time only")
    made = Hosts(network, program, getattr(request, "param", 4))
    made.meet()
    return made
