# SPDX-License-Identifier: MIT
"""The two hosts at the ends of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suites.common.transfer import Install
    from testbed.backends.network import Network
    from testbed.backends.node import Node


@dataclass(frozen=True)
class TwoHosts:
    """The client ``h1`` and the server ``h2``.

    Attributes:
        network: The network.
        program: The fixture that puts a program into a node.
        version: IP version of all addresses.
    """

    network: Network
    program: Install
    version: int

    @property
    def client(self) -> Node:
        """The host that connects."""
        return self.network["h1"]

    @property
    def server(self) -> Node:
        """The host that is connected to."""
        return self.network["h2"]
