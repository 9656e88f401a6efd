# SPDX-License-Identifier: MIT
"""All figures, with their goals, in the order of the table."""

from __future__ import annotations

import functools

from benchmarks import cloudlab, mininet, networks, pages, runs, transfers
from benchmarks.figure import Figure
from benchmarks.libos.registry import LIBOS
from testbed.libos.flavor import CRATES

LIBOSES = tuple(crate.name for crate in CRATES)

FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure(
            name="boot",
            what="guest boot to first reply",
            unit="s",
            measure=networks.boot_s,
            at_most=0.06,
        ),
        Figure(
            name="case",
            what="a hermetic case under pytest",
            unit="s",
            measure=runs.case_s,
            at_most=0.20,
        ),
        Figure(
            name="lan-guest",
            what="lan(100) up in a guest, boot included",
            unit="s",
            measure=networks.lan_guest_s,
            at_most=1.0,
        ),
        Figure(
            name="lan-host",
            what="lan(100) up on the host's kernel",
            unit="s",
            measure=networks.lan_host_s,
            at_most=0.3,
        ),
        Figure(
            name="lan-mininet",
            what="100 hosts and a Linux bridge under Mininet",
            unit="s",
            measure=networks.lan_mininet_s,
            peer=True,
        ),
        Figure(
            name="lan-ratio",
            what="Mininet's time over that of the host's kernel",
            unit="x",
            measure=networks.lan_ratio,
            at_least=10.0,
        ),
        Figure(
            name="mininet-added",
            what="100 hosts up: what the backend mininet adds to Mininet's own time",
            unit="%",
            measure=mininet.added_percent,
            at_most=10.0,
        ),
        Figure(
            name="mptcp",
            what="MPTCP, 2 x 10 Mbit/s, 1 % loss, 20 virtual s, captures on",
            unit="s",
            measure=transfers.mptcp_s,
            at_most=2.0,
        ),
        Figure(
            name="captures",
            what="the same transfer, captures on over off",
            unit="%",
            measure=transfers.captures_percent,
            at_most=15.0,
        ),
        Figure(
            name="tcp-simple",
            what="example tcp-simple, 27.8 virtual hours, once",
            unit="s",
            measure=runs.tcp_simple_s,
            at_most=6.0,
        ),
        Figure(
            name="memory",
            what="memory of a guest with lan(10)",
            unit="MiB",
            measure=networks.memory_mib,
            at_most=150.0,
        ),
        Figure(
            name="report-open",
            what="page of 2,000 cases, from navigation to painted list",
            unit="s",
            measure=pages.open_s,
            at_most=2.0,
            once=True,
        ),
        Figure(
            name="report-end",
            what="page that a run of 900 cases leaves at its end",
            unit="s",
            measure=pages.end_s,
            at_most=1.2,
            once=True,
        ),
        Figure(
            name="cloudlab-run",
            what="cloudlab run: 5 cases on 4 local ssh nodes, artifacts there",
            unit="s",
            measure=cloudlab.run_s,
            at_most=20.0,
        ),
        Figure(
            name="cloudlab-scp",
            what="rate of a transfer to a node over that of scp",
            unit="x",
            measure=cloudlab.transfer_ratio,
            at_least=0.8,
        ),
        Figure(
            name="ip6-tunnels",
            what="suite ip6-tunnels once, one case after the other, as its PASS line says",
            unit="s",
            measure=runs.tunnels_s,
            at_most=2.5,
        ),
        Figure(
            name="hundred-nodes",
            what="100 nodes with 5 processes each, until all have ended",
            unit="s",
            measure=runs.hundred_nodes_s,
            at_most=10.0,
        ),
        Figure(
            name="make-test-first",
            what="make test: netlink-socket, mptcp, tcp-simple, udp-simple, cached, twice, -n 2",
            unit="s",
            measure=runs.first_suites_s,
            at_most=60.0,
            slow=True,
            once=True,
        ),
        Figure(
            name="make-test-kernel",
            what="make test: the kernel's eight suites, cached, twice, -n 2",
            unit="s",
            measure=runs.kernel_suites_s,
            at_most=120.0,
            slow=True,
            once=True,
        ),
        *(
            Figure(
                name=f"make-test-{flavor}",
                what=f"make test --libos {flavor}: all its suites, cached, twice, -n 2",
                unit="s",
                measure=functools.partial(runs.flavor_s, flavor),
                at_most=90.0,
                slow=True,
                once=True,
            )
            for flavor in LIBOSES
        ),
        Figure(
            name="build",
            what="kernel build, nothing cached, -j2",
            unit="s",
            measure=runs.build_s,
            at_most=200.0,
            slow=True,
            once=True,
        ),
        *LIBOS,
    )
}
