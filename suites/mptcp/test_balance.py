# SPDX-License-Identifier: MIT
"""Two paths together take hardly longer than their sum would, as in the kernel's own simult_flows.sh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.kernel import since
from suites.mptcp.scenario import both_versions, needs_mptcp

if TYPE_CHECKING:
    from suites.mptcp.transfer import Hosts

pytestmark = needs_mptcp

BYTES = 8 << 20
QUEUE_PACKETS = 50  # as there: longer queues inflate the round-trip time
# The selftest allows a ninth for headers. IPv6 and MPTCP's options take 8 %, what is lost in the queues of 50 packets
# and sent again the rest; the better path alone would take a third more than both.
OVERHEAD = 1.15
SLACK_S = 0.45  # and for the joining: 0.4 s of sleeps that we do not have, and 0.05 s


def paths(rates: tuple[float, float], delays: tuple[float, float]) -> pytest.MarkDecorator:
    """Give the scenario of two rates in Mbit/s and two delays in ms."""
    one, two = (
        {"rate_bps": int(rate * 1e6), "delay_ms": delay, "queue_packets": QUEUE_PACKETS}
        for rate, delay in zip(rates, delays, strict=True)
    )
    return pytest.mark.scenario("two_path", path1=one, path2=two)


CASES = {
    "balanced": ((10, 10), (0, 0)),
    "unbalanced-delay": ((10, 10), (1, 25)),
    "unbalanced-rate": ((10, 3), (0, 0)),
    "unbalanced-rate-and-delay": ((10, 3), (1, 25)),
    "unbalanced-rate-opposed-delay": ((10, 3), (25, 1)),
}


@both_versions
@pytest.mark.parametrize(
    "megabits", [pytest.param(sum(case[0]), marks=paths(*case), id=name) for name, case in CASES.items()]
)
def test_transfer_uses_the_sum_of_both_rates(hosts: Hosts, megabits: float) -> None:
    """Sending N bytes takes at most N over both rates, 15 % more for headers and losses, and the start."""
    since(hosts.network, (6, 12), "retransmits more on unequal paths and can take longer")
    hosts.use_both_paths()
    sent, _ = hosts.send("--bytes", str(BYTES))
    assert sent.extra_subflows == 1
    ideal_s = BYTES * 8 / (megabits * 1e6)
    assert sent.seconds <= ideal_s * OVERHEAD + SLACK_S
