# SPDX-License-Identifier: MIT
"""The suite transport has a case for each congestion control of testbed's own kernel."""

from __future__ import annotations

import re

from suites.transport.test_congestion import CONTROLS
from testbed.paths import package_dir

# Where the option's name is not that of the control (net/ipv4/Kconfig, net/ipv4/tcp_highspeed.c).
NAMES = {"hstcp": "highspeed"}
NO_CONTROLS = {"advanced"}
BUILT_IN = {"reno"}  # it has no option


def test_list_is_that_of_the_configuration() -> None:
    fragment = (package_dir() / "libos" / "linux" / "config" / "transport.config").read_text()
    options = {name.lower() for name in re.findall(r"^CONFIG_TCP_CONG_(\w+)=y$", fragment, re.MULTILINE)} - NO_CONTROLS
    assert sorted(BUILT_IN | {NAMES.get(name, name) for name in options}) == list(CONTROLS)
