# SPDX-License-Identifier: MIT
"""What holds for all suites of the kernel: on the one that testbed builds itself, nothing may be missing."""

from __future__ import annotations

import pytest

COMPLETE = ("cradle", "ip6_tunnels", "mptcp", "netlink_socket", "process_manager", "transport")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a skip be an error on testbed's own kernel: a feature that broke must not look like one that never was."""
    for item in items:
        if item.path.parent.name in COMPLETE:
            item.add_marker(pytest.mark.complete(6, 12))
