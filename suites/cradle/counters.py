# SPDX-License-Identifier: MIT
"""The counters that a node's kernel keeps of what it received (``/proc/net/snmp``, ``netstat`` and ``snmp6``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.backends.node import Node


def counter(node: Node, name: str) -> int:
    """Give a counter by the name that nstat(8) gives it, such as ``TcpInCsumErrors``."""
    [line] = node.run(["nstat", "-asz", name]).stdout.splitlines()[1:]
    found, value, *_ = line.split()
    assert found == name
    return int(value)
