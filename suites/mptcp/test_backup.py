# SPDX-License-Identifier: MIT
"""Backup subflows: they wait until no other works (RFC 8684, sections 3.2 and 3.3.8)."""

from __future__ import annotations

import pytest

from suites.mptcp import mptcp_wire
from suites.mptcp.mptcp_wire import SYN, Subtype
from suites.mptcp.scenario import both_versions, needs_mptcp, two_paths
from suites.mptcp.transfer import Hosts, Path

pytestmark = [two_paths, needs_mptcp]


def use_backup(hosts: Hosts) -> None:
    """Make path two, from the client's second address, a backup."""
    hosts.limits()
    hosts.endpoint(hosts.client, hosts.client_address(Path.TWO), "subflow", "backup")


@both_versions
def test_backup_carries_nothing_while_the_first_path_works(hosts: Hosts) -> None:
    """The subflow joins with the B flag and stays empty, though its path is 20 times as fast."""
    use_backup(hosts)
    sent, _ = hosts.send("--bytes", "500000")
    assert sent.extra_subflows == 1
    found = hosts.at_client(Path.TWO)
    assert found[0].flags == SYN
    assert found[0].option(Subtype.MP_JOIN).backup
    assert mptcp_wire.payload_of(found, hosts.client_address(Path.TWO)) == 0


@both_versions
@pytest.mark.real_time_budget(20)
def test_backup_takes_over_when_the_first_path_is_cut(hosts: Hosts) -> None:
    """After a cut of path one the backup carries the rest of the transfer, and only then."""
    use_backup(hosts)
    # The server's answers choose their path by destination, not by source: its first address answers over path two.
    hosts.server.run(["ip", f"-{hosts.version}", "rule", "flush"])
    for table, priority in (("local", "0"), ("main", "32766")):
        hosts.server.run(["ip", f"-{hosts.version}", "rule", "add", "table", table, "priority", priority])
    start_s = hosts.network.now()
    transfer = hosts.start("--seconds", "8", "--rate", "2e6")
    hosts.network.sleep_until(start_s + 3.0)
    cut_s = hosts.network.now()
    hosts.network.link("h1-r1").cut()
    transfer.finish()
    source = hosts.client_address(Path.TWO)
    assert mptcp_wire.payload_of(hosts.at_client(Path.TWO), source, until_s=cut_s) == 0
    assert mptcp_wire.payload_of(hosts.at_client(Path.TWO), source, since_s=cut_s) > 5 * 2e6 / 8 * 0.9


def test_announced_address_can_be_a_backup(hosts: Hosts) -> None:
    """The server marks its announced address as backup: its answer to the join has the B flag, and no data takes it."""
    hosts.limits()
    hosts.endpoint(hosts.server, hosts.server_address(Path.TWO), "signal", "backup")
    sent, _ = hosts.send("--bytes", "500000")
    assert sent.extra_subflows == 1
    join = mptcp_wire.with_option(hosts.at_client(Path.TWO), Subtype.MP_JOIN)
    assert join[1].option(Subtype.MP_JOIN).backup
    assert mptcp_wire.payload_of(hosts.at_client(Path.TWO), hosts.client_address(Path.TWO)) == 0


@pytest.mark.real_time_budget(10)
def test_subflow_becomes_a_backup_at_run_time(hosts: Hosts) -> None:
    """A change of the endpoint to backup is told by MP_PRIO, and from then on path one carries all."""
    hosts.limits()
    address = hosts.client_address(Path.TWO)
    hosts.endpoint(hosts.client, address, "subflow")
    start_s = hosts.network.now()
    transfer = hosts.start("--seconds", "6", "--rate", "6e6")
    hosts.network.sleep_until(start_s + 3.0)
    changed_s = hosts.network.now()
    hosts.client.run(["ip", "mptcp", "endpoint", "change", address, "backup"])
    transfer.finish()
    found = hosts.at_client(Path.TWO)
    priorities = mptcp_wire.with_option(found, Subtype.MP_PRIO)
    assert priorities
    assert priorities[0].option(Subtype.MP_PRIO).backup
    assert priorities[0].time_s == pytest.approx(changed_s, abs=0.1)
    assert mptcp_wire.payload_of(found, address, until_s=changed_s) > 0
    assert mptcp_wire.payload_of(found, address, since_s=changed_s + 1) == 0
