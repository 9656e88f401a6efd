# SPDX-License-Identifier: MIT
"""The networks of the suite: two hosts over two routers, with per-source rules."""

import pytest

# Path one is slow and long, path two is fast and as short as a wire can be: 1 ns.
two_paths = pytest.mark.scenario(
    "two_path", path1={"rate_bps": 5_000_000, "delay_ms": 10}, path2={"rate_bps": 100_000_000, "delay_ms": 1e-6}
)

both_versions = pytest.mark.parametrize("hosts", [4, 6], ids=["ipv4", "ipv6"], indirect=True)

needs_mptcp = pytest.mark.requires("mptcp", "netem")
