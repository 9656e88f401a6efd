# SPDX-License-Identifier: MIT
"""ADD_ADDR and its echo: authenticated, repeated until they are answered, perhaps refused (RFC 8684, section 3.4.1)."""

from __future__ import annotations

import itertools

import pytest

from suites.mptcp import middlebox, mptcp_wire
from suites.mptcp.mptcp_wire import ACK, SYN, Segment, Subtype
from suites.mptcp.scenario import both_versions, needs_mptcp, two_paths
from suites.mptcp.transfer import Hosts, Path

pytestmark = [two_paths, needs_mptcp]

TIMEOUT_S = 1
KEY_BYTES = 8


def announcements(found: list[Segment], *, echo: bool) -> list[Segment]:
    """Keep the segments with an ADD_ADDR that is, or is not, an echo."""
    return [
        segment
        for segment in mptcp_wire.with_option(found, Subtype.ADD_ADDR)
        if segment.option(Subtype.ADD_ADDR).echo is echo
    ]


@both_versions
def test_announcement_is_authenticated_echoed_and_joined(hosts: Hosts) -> None:
    """ADD_ADDR has the address and the HMAC of the keys, comes back as an echo of the same number, and is joined."""
    hosts.limits()
    hosts.announce(Path.TWO)
    sent, _ = hosts.send("--bytes", "200000")
    assert sent.extra_subflows == 1
    found = hosts.at_client(Path.ONE)
    third = next(
        segment for segment in mptcp_wire.with_option(found, Subtype.MP_CAPABLE) if segment.flags & (SYN | ACK) == ACK
    )
    keys = third.option(Subtype.MP_CAPABLE).body[1:]
    client_key, server_key = keys[:KEY_BYTES], keys[KEY_BYTES : 2 * KEY_BYTES]

    told = announcements(found, echo=False)[0].option(Subtype.ADD_ADDR)
    address = hosts.server_address(Path.TWO)
    assert told.address == address
    assert told.body[-8:] == mptcp_wire.address_hmac(server_key, client_key, told.address_id, address)
    echoed = announcements(found, echo=True)[0].option(Subtype.ADD_ADDR)
    assert (echoed.address, echoed.address_id) == (told.address, told.address_id)
    assert mptcp_wire.with_option(hosts.at_client(Path.TWO), Subtype.MP_JOIN)[0].destination == address


def test_echoed_announcement_is_not_repeated(hosts: Hosts) -> None:
    """With the echo received, the announcement is sent once, however short the time-out."""
    hosts.limits()
    hosts.repeat_announcements_after(TIMEOUT_S)
    hosts.announce(Path.TWO)
    hosts.send("--seconds", "5", "--rate", "1e6")
    assert len(announcements(hosts.at_client(Path.ONE), echo=False)) == 1


@pytest.mark.requires("nftables")
def test_announcement_without_echo_is_repeated(hosts: Hosts) -> None:
    """Echoes that are lost make the server repeat its announcement, a time-out apart, and give up after the third."""
    hosts.limits()
    hosts.repeat_announcements_after(TIMEOUT_S)
    hosts.announce(Path.TWO)
    middlebox.drop(hosts.network["r1"], "tcp option mptcp subtype 3 tcp dport 5000")
    hosts.send("--seconds", "8", "--rate", "1e6")
    times = [segment.time_s for segment in announcements(hosts.at_client(Path.ONE), echo=False)]
    assert len(times) == 4
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == pytest.approx([TIMEOUT_S] * 3, abs=0.3)
    assert announcements(hosts.at_server(Path.ONE), echo=True) == []


@pytest.mark.requires("nftables")
def test_lost_announcement_is_repeated_and_joined(hosts: Hosts) -> None:
    """An announcement that does not arrive is sent again after the time-out, and joined then."""
    hosts.limits()
    hosts.repeat_announcements_after(TIMEOUT_S)
    hosts.announce(Path.TWO)
    middlebox.drop(hosts.network["r1"], "tcp option mptcp subtype 3 tcp sport 5000", at_most=1)
    sent, _ = hosts.send("--seconds", "4", "--rate", "1e6")
    assert sent.extra_subflows == 1
    assert len(announcements(hosts.at_server(Path.ONE), echo=False)) == 2
    [arrived] = announcements(hosts.at_client(Path.ONE), echo=False)
    join = mptcp_wire.with_option(hosts.at_client(Path.TWO), Subtype.MP_JOIN)[0]
    assert join.time_s == pytest.approx(arrived.time_s, abs=0.1)


def test_announcement_beyond_the_limit_is_echoed_but_not_joined(hosts: Hosts) -> None:
    """A client that accepts no announced address answers the announcement and leaves path two alone."""
    hosts.limits(subflows=2, accepted=0)
    hosts.announce(Path.TWO)
    sent, _ = hosts.send("--bytes", "200000")
    assert sent.extra_subflows == 0
    assert announcements(hosts.at_client(Path.ONE), echo=True)
    assert hosts.at_client(Path.TWO) == []


def test_client_announcements_reach_the_server(hosts: Hosts) -> None:
    """A client may announce too; servers join nothing, but count what they accepted and echo it."""
    hosts.limits()
    hosts.endpoint(hosts.client, hosts.client_address(Path.TWO), "signal")
    hosts.send("--bytes", "200000")
    told = announcements(hosts.at_server(Path.ONE), echo=False)
    assert told[0].option(Subtype.ADD_ADDR).address == hosts.client_address(Path.TWO)
    assert announcements(hosts.at_server(Path.ONE), echo=True)


def test_announced_port_is_joined_at_that_port(hosts: Hosts) -> None:
    """An endpoint with a port is announced with it, and the join goes to that port."""
    hosts.limits()
    hosts.endpoint(hosts.server, hosts.server_address(Path.TWO), "port", "6000", "signal")
    sent, _ = hosts.send("--bytes", "200000")
    assert sent.extra_subflows == 1
    join = mptcp_wire.with_option(hosts.at_client(Path.TWO), Subtype.MP_JOIN)[0]
    assert (join.destination, join.destination_port) == (hosts.server_address(Path.TWO), 6000)
