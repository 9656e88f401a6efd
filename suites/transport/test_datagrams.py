# SPDX-License-Identifier: MIT
"""Datagrams over bad links: some may be missing, but each that arrives is whole, and all are accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common import ip_wire
from suites.transport.evidence import check_deeds
from suites.transport.scenario import LINKS, both_versions, bottleneck, over_all_links, protocols

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts

COUNT = 200
BYTES = 1000
NUMBERS = {"udp": ip_wire.UDP, "udplite": ip_wire.UDPLITE, "dccp": ip_wire.DCCP}
INTERVAL_S = 0.001


@bottleneck
@both_versions
@over_all_links
@protocols("udp", "udplite", "dccp")
@pytest.mark.real_time_budget(10)
def test_datagrams_arrive_whole_or_not_at_all(hosts: Hosts, protocol: str, link: str) -> None:
    """Not one datagram has other bytes than those of its number; what the link does is what the receiver counts."""
    hosts.network.link("h1-h2").set(**LINKS[link])
    words = ["--size", str(BYTES)]
    sent, received = hosts.datagrams(protocol, COUNT, sender=[*words, "--interval", str(INTERVAL_S)], receiver=words)
    count = int(received["received"])
    assert int(sent["sent"]) == on_wire(hosts, "h1", protocol) == COUNT
    assert received["wrong"] == "0"
    assert count > COUNT * (0.1 if link == "slow" and protocol != "dccp" else 0.8)  # DCCP waits where the link is slow
    # The end of a connection may overtake its last datagrams, which then nobody takes.
    overtaken = link == "reordering" and protocol == "dccp"
    if link in ("clean", "duplicating", "reordering") and not overtaken:
        assert received["hash"] == sent["hash"]
    if link == "reordering":
        assert int(received["late"]) > 0
    else:
        assert received["late"] == "0"
    check_deeds(hosts.network, link)
    arrived = on_wire(hosts, "h2", protocol)
    if overtaken:
        assert count <= arrived
    else:
        assert count == arrived if link != "corrupting" else count < arrived
    assert (int(received["again"]) > 0) == (link == "duplicating")


def on_wire(hosts: Hosts, end: str, protocol: str) -> int:
    """Count the test's datagrams that a host's end of the link saw, those with damaged bytes, too."""
    found = hosts.packets_at(end, NUMBERS[protocol])  # of the client's nothing else is so long
    return sum(packet.source == hosts.client_address and packet.body_bytes > BYTES for packet in found)
