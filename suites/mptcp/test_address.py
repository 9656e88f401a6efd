# SPDX-License-Identifier: MIT
"""Addresses and links that go and come while data flows (RFC 8684, section 3.4)."""

from __future__ import annotations

import pytest

from suites.mptcp import mptcp_wire
from suites.mptcp.mptcp_wire import SYN, Subtype
from suites.mptcp.scenario import both_versions, needs_mptcp, two_paths
from suites.mptcp.transfer import Hosts, Path

pytestmark = [two_paths, needs_mptcp]


@both_versions
@pytest.mark.real_time_budget(35)
def test_transfer_survives_an_address_removed_at_20_of_30_seconds(hosts: Hosts) -> None:
    """The server takes back its second address at 20 s: REMOVE_ADDR, silence on that path, the first one goes on."""
    hosts.use_both_paths()
    start_s = hosts.network.now()
    transfer = hosts.start("--seconds", "30", "--rate", "6e6")
    hosts.network.sleep_until(start_s + 20.0)
    removed_s = hosts.network.now()
    hosts.remove_endpoint(hosts.server, hosts.server_address(Path.TWO))
    sent, _ = transfer.finish()
    assert sent.seconds >= 30

    told = mptcp_wire.with_option(hosts.at_server(Path.ONE), Subtype.REMOVE_ADDR)
    assert told
    assert told[0].time_s == pytest.approx(removed_s, abs=0.1)
    source = hosts.client_address(Path.TWO)
    assert mptcp_wire.payload_of(hosts.at_server(Path.TWO), source, until_s=removed_s) > 0
    assert mptcp_wire.payload_of(hosts.at_server(Path.TWO), source, since_s=removed_s + 1) == 0
    after = mptcp_wire.payload_of(hosts.at_server(Path.ONE), hosts.client_address(Path.ONE), since_s=removed_s)
    assert after > 10 * 4e6 / 8  # path one carries 5 Mbit/s with headers, and is full now


@both_versions
@pytest.mark.real_time_budget(15)
def test_address_added_at_run_time_is_used(hosts: Hosts) -> None:
    """An address that the server announces at 3 s is joined then, and carries data from then on."""
    hosts.limits()
    start_s = hosts.network.now()
    transfer = hosts.start("--seconds", "6", "--rate", "6e6")
    hosts.network.sleep_until(start_s + 3.0)
    added_s = hosts.network.now()
    hosts.announce(Path.TWO)
    sent, _ = transfer.finish()
    assert sent.extra_subflows == 1
    found = hosts.at_server(Path.TWO)
    assert found[0].flags == SYN
    assert found[0].has(Subtype.MP_JOIN)
    assert found[0].time_s == pytest.approx(added_s, abs=0.5)
    assert mptcp_wire.payload_of(found, hosts.client_address(Path.TWO)) > 500_000


@pytest.mark.real_time_budget(15)
def test_client_closes_the_subflows_of_a_removed_endpoint(hosts: Hosts) -> None:
    """The client takes back its own second address: it tells the server, and data goes on over the first one."""
    hosts.limits()
    hosts.endpoint(hosts.client, hosts.client_address(Path.TWO), "subflow")
    start_s = hosts.network.now()
    transfer = hosts.start("--seconds", "4", "--rate", "6e6")
    hosts.network.sleep_until(start_s + 2.0)
    removed_s = hosts.network.now()
    hosts.remove_endpoint(hosts.client, hosts.client_address(Path.TWO))
    sent, _ = transfer.finish()
    assert sent.extra_subflows == 0
    assert mptcp_wire.with_option(hosts.at_client(Path.ONE), Subtype.REMOVE_ADDR)
    source = hosts.client_address(Path.TWO)
    assert mptcp_wire.payload_of(hosts.at_client(Path.TWO), source, until_s=removed_s) > 0
    assert mptcp_wire.payload_of(hosts.at_client(Path.TWO), source, since_s=removed_s + 1) == 0


@both_versions
@pytest.mark.parametrize("path", list(Path))
@pytest.mark.real_time_budget(30)
def test_transfer_survives_a_cut_of_either_path(hosts: Hosts, path: Path) -> None:
    """A path cut beyond the router, unseen by the client, is given up; what it had under way goes over the other."""
    hosts.use_both_paths()
    start_s = hosts.network.now()
    transfer = hosts.start("--seconds", "8", "--rate", "2e6")
    hosts.network.sleep_until(start_s + 3.0)
    hosts.network.link(f"{path}-h2").cut()
    cut_s = hosts.network.now()
    sent, _ = transfer.finish()
    assert sent.bytes >= 8 * 2e6 / 8 * 0.9
    other = Path.TWO if path is Path.ONE else Path.ONE
    after = mptcp_wire.payload_of(hosts.at_server(other), hosts.client_address(other), since_s=cut_s)
    assert after > 5 * 2e6 / 8 * 0.8


@pytest.mark.real_time_budget(30)
def test_path_that_comes_back_is_used_again(hosts: Hosts) -> None:
    """After a cut of 3 s the subflow on the fast path carries data again, without a new MP_JOIN."""
    hosts.use_both_paths()
    start_s = hosts.network.now()
    transfer = hosts.start("--seconds", "12", "--rate", "6e6")
    for at_s, act in ((3.0, "cut"), (6.0, "restore")):
        hosts.network.sleep_until(start_s + at_s)
        getattr(hosts.network.link("r2-h2"), act)()
    back_s = hosts.network.now()
    transfer.finish()
    found, source = hosts.at_server(Path.TWO), hosts.client_address(Path.TWO)
    assert mptcp_wire.payload_of(found, source, since_s=back_s - 2.9, until_s=back_s) == 0
    assert mptcp_wire.payload_of(found, source, since_s=back_s) > 100_000
    assert len([segment for segment in found if segment.flags & SYN and segment.source == source]) == 1
