# SPDX-License-Identifier: MIT
"""Middleboxes that strip options: a fallback to TCP or a lost subflow, never a lost byte (RFC 8684, section 3.7)."""

from __future__ import annotations

import pytest

from suites.mptcp import middlebox, mptcp_wire
from suites.mptcp.mptcp_wire import SYN, Subtype
from suites.mptcp.scenario import both_versions, needs_mptcp, two_paths
from suites.mptcp.transfer import Hosts, Path

pytestmark = [two_paths, needs_mptcp, pytest.mark.requires("nftables")]


@both_versions
def test_all_options_stripped_is_plain_tcp(hosts: Hosts) -> None:
    """The server never sees MP_CAPABLE: the bytes arrive over plain TCP, and path two is never tried."""
    hosts.use_both_paths()
    middlebox.strip(hosts.network["r1"])
    sent, received = hosts.send("--bytes", "200000")
    assert (sent.mptcp, received.mptcp) == (False, False)
    offered = [segment for segment in hosts.at_client(Path.ONE) if segment.flags == SYN]
    assert offered[0].has(Subtype.MP_CAPABLE)
    arrived = hosts.at_server(Path.ONE)
    assert arrived
    assert not any(segment.options for segment in arrived if segment.source == hosts.client_address(Path.ONE))
    assert hosts.at_client(Path.TWO) == []


@pytest.mark.parametrize("direction", ["from-client", "from-server"])
def test_options_stripped_in_one_direction_of_the_handshake(hosts: Hosts, direction: str) -> None:
    """MP_CAPABLE lost on the way there, or on the way back: either way both sides end in plain TCP with all bytes."""
    hosts.use_both_paths()
    flags = "syn" if direction == "from-client" else "syn | ack"
    middlebox.strip(hosts.network["r1"], f"tcp flags & (syn | ack) == {flags}")
    sent, received = hosts.send("--bytes", "200000")
    assert (sent.mptcp, received.mptcp) == (False, False)
    assert hosts.at_client(Path.TWO) == []


def test_options_stripped_after_the_handshake(hosts: Hosts) -> None:
    """A middlebox that lets SYNs pass but strips data segments: the first data without DSS makes it plain TCP."""
    middlebox.strip(hosts.network["r1"], "tcp flags & syn == 0")
    sent, received = hosts.send("--bytes", "200000")
    assert (sent.mptcp, received.mptcp) == (False, False)


@both_versions
def test_options_stripped_on_the_second_path_leave_the_first(hosts: Hosts) -> None:
    """An MP_JOIN that loses its option is no join: that subflow is reset, the connection stays Multipath TCP."""
    hosts.use_both_paths()
    middlebox.strip(hosts.network["r2"])
    sent, received = hosts.send("--bytes", "200000")
    assert (sent.mptcp, sent.extra_subflows, received.mptcp) == (True, 0, True)
    assert mptcp_wire.with_option(hosts.at_client(Path.TWO), Subtype.MP_JOIN)
    assert mptcp_wire.payload_of(hosts.at_client(Path.TWO), hosts.client_address(Path.TWO)) == 0


def test_dropped_joins_leave_the_first_path(hosts: Hosts) -> None:
    """A firewall that drops every MP_JOIN costs the second path and nothing else."""
    hosts.use_both_paths()
    middlebox.drop(hosts.network["r2"], "tcp option mptcp subtype 1")
    sent, received = hosts.send("--bytes", "200000")
    assert (sent.mptcp, received.mptcp) == (True, True)
    assert mptcp_wire.with_option(hosts.at_client(Path.TWO), Subtype.MP_JOIN)
    assert hosts.at_server(Path.TWO) == []
