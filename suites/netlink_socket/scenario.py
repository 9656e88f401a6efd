# SPDX-License-Identifier: MIT
"""The network of the whole suite: h1 --- 5 Mbit/s, 2 ms --- r1 --- 1.5 Mbit/s, 10 ms --- h2."""

import pytest

from testbed.scenarios.shape import Shape
from testbed.scenarios.topology import Link, Node, Topology

three_in_a_row = pytest.mark.scenario(
    Topology(
        (Node("h1"), Node("r1", "router"), Node("h2")),
        (
            Link("h1", "r1", Shape(rate_bps=5_000_000, delay_ms=2)),
            Link("r1", "h2", Shape(rate_bps=1_500_000, delay_ms=10)),
        ),
    )
)
