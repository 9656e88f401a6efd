# SPDX-License-Identifier: MIT
"""Streams over links that lose, reorder, repeat, corrupt and delay: every byte arrives once, in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.transport.evidence import check_deeds
from suites.transport.scenario import (
    LINKS,
    RATE_BPS,
    SLOW_BPS,
    both_versions,
    bottleneck,
    over_all_links,
    protocols,
)

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts

BYTES = 200_000


@bottleneck
@both_versions
@over_all_links
@protocols("tcp", "sctp")
@pytest.mark.real_time_budget(10)
def test_stream_arrives_whole(hosts: Hosts, protocol: str, link: str) -> None:
    """The hash of what was received is that of what was sent, whatever the link does, both ways."""
    hosts.network.link("h1-h2").set(**LINKS[link])
    sent, _ = hosts.start(protocol, BYTES).finish()
    assert sent.bytes == BYTES
    assert sent.goodput_bps < (SLOW_BPS if link == "slow" else RATE_BPS)
    check_deeds(hosts.network, link)
