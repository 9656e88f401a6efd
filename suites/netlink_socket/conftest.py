# SPDX-License-Identifier: MIT
"""The three nodes in a row, by the side they are on, and a route socket in the middle one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.netlink_socket import messages
from suites.netlink_socket.netlink import Netlink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.backends.network import Network
    from testbed.backends.node import Node


@pytest.fixture
def left(network: Network) -> Node:
    """Give the first node: on the 5 Mbit/s, 2 ms link."""
    return network["h1"]


@pytest.fixture
def middle(network: Network) -> Node:
    """Give the router between the two."""
    return network["r1"]


@pytest.fixture
def right(network: Network) -> Node:
    """Give the last node: on the 1.5 Mbit/s, 10 ms link."""
    return network["h2"]


@pytest.fixture
def rtnl(middle: Node) -> Iterator[Netlink]:
    """Give a NETLINK_ROUTE socket in the router."""
    with Netlink(middle) as opened:
        yield opened


@pytest.fixture
def eth0(rtnl: Netlink) -> int:
    """Give the index of the router's interface towards the left."""
    [frame] = rtnl.request(messages.link(IFNAME="eth0"))
    return int(frame.parsed()["index"])
