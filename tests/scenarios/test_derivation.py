# SPDX-License-Identifier: MIT
"""Addresses, routes and rules that a topology leaves open are derived in one way."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict

import pytest

from testbed.errors import ConfigError
from testbed.scenarios import routing
from testbed.scenarios.layout import interfaces, mac_address
from testbed.scenarios.registry import scenario
from testbed.scenarios.topology import Link, Node, Route, Topology


def addresses(topology: Topology) -> dict[str, tuple[str, ...]]:
    return {f"{end.node}.{end.name}": end.addresses for end in interfaces(topology)}


def routes(topology: Topology, node: str) -> list[str]:
    found, _ = routing.derive(topology, interfaces(topology))
    return [
        f"{route.dst} via {route.via} dev {route.iface}" + (f" table {route.table}" if route.table else "")
        for route in found
        if route.node == node
    ]


def test_addresses_pair() -> None:
    assert addresses(scenario("pair")) == {
        "h1.eth0": ("10.0.1.1/24", "fd00:1::1/64"),
        "h2.eth0": ("10.0.1.2/24", "fd00:1::2/64"),
    }


def test_addresses_switched_links_are_one_subnet() -> None:
    topology = Topology(
        (Node("h1"), Node("h2"), Node("s1", "switch"), Node("s2", "switch"), Node("r", "router"), Node("h3")),
        (Link("h1", "s1"), Link("h3", "r"), Link("h2", "s2"), Link("s1", "s2"), Link("s2", "r")),
    )
    assert addresses(topology) == {
        "h1.eth0": ("10.0.1.1/24", "fd00:1::1/64"),
        "s1.eth0": (),
        "h3.eth0": ("10.0.2.1/24", "fd00:2::1/64"),
        "r.eth0": ("10.0.2.2/24", "fd00:2::2/64"),
        "h2.eth0": ("10.0.1.2/24", "fd00:1::2/64"),
        "s2.eth0": (),
        "s1.eth1": (),
        "s2.eth1": (),
        "s2.eth2": (),
        "r.eth1": ("10.0.1.3/24", "fd00:1::3/64"),
    }


@pytest.mark.parametrize(("hosts", "last"), [(250, "10.0.1.250/24"), (251, "10.0.2.251/23"), (600, "10.0.6.88/22")])
def test_addresses_lan_grows_beyond_a_24(hosts: int, last: str) -> None:
    topology = scenario("lan", n=hosts)
    assert addresses(topology)[f"h{hosts}.eth0"][0] == last
    assert len({text for texts in addresses(topology).values() for text in texts}) == 2 * hosts


def test_addresses_given_ones_are_kept_and_passed_over() -> None:
    topology = Topology(
        (Node("h1"), Node("h2"), Node("h3")),
        (Link("h1", "h2", addresses_a=("10.0.1.9/24", "fd00:1::9/64"), addresses_b=()), Link("h2", "h3")),
    )
    assert addresses(topology) == {
        "h1.eth0": ("10.0.1.9/24", "fd00:1::9/64"),
        "h2.eth0": (),
        "h2.eth1": ("10.0.2.1/24", "fd00:2::1/64"),
        "h3.eth0": ("10.0.2.2/24", "fd00:2::2/64"),
    }


def test_addresses_small_mtu_has_no_ipv6() -> None:
    topology = Topology((Node("h1"), Node("h2")), (Link("h1", "h2", mtu=1279),))
    assert addresses(topology)["h1.eth0"] == ("10.0.1.1/24",)


def test_addresses_given_on_one_end_only_is_refused() -> None:
    topology = Topology((Node("h1"), Node("h2")), (Link("h1", "h2", addresses_a=("10.9.0.1/24",)),))
    message = (
        "in one subnet, 'h1' on link 'h1-h2' has given addresses and 'h2' on link 'h1-h2' has none\n"
        "hint: give addresses to all ends of a subnet, or to none"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        interfaces(topology)


def test_addresses_given_twice_is_refused() -> None:
    given = ("10.9.0.1/24",)
    topology = Topology((Node("h1"), Node("h2")), (Link("h1", "h2", addresses_a=given, addresses_b=given),))
    message = "the address 10.9.0.1 is given to 'h1' on link 'h1-h2' and to 'h2' on link 'h1-h2'"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        interfaces(topology)


def test_mac_address_counts_links_and_ends() -> None:
    assert [mac_address(0, 0), mac_address(0, 1), mac_address(200, 1)] == [
        "02:00:00:00:00:00",
        "02:00:00:00:00:01",
        "02:00:00:00:01:91",
    ]


def test_routes_hosts_of_a_chain_have_defaults() -> None:
    topology = scenario("chain", n=4)
    assert routes(topology, "h1") == ["default via 10.0.1.2 dev eth0", "default6 via fd00:1::2 dev eth0"]
    assert routes(topology, "r1") == ["10.0.3.0/24 via 10.0.2.2 dev eth1", "fd00:3::/64 via fd00:2::2 dev eth1"]


def test_routes_pair_needs_none() -> None:
    assert routing.derive(scenario("pair"), interfaces(scenario("pair"))) == ((), ())


def test_routes_ring_takes_the_shorter_way() -> None:
    topology = scenario("ring", n=5)
    via = dict(text.split(" via ") for text in routes(topology, "r1"))
    assert via["10.0.7.0/24"] == "10.0.1.2 dev eth0", "h2 is one step clockwise"
    assert via["10.0.10.0/24"] == "10.0.5.1 dev eth1", "h5 is one step the other way"


def test_routes_ring_ties_go_to_the_link_listed_first() -> None:
    via = dict(text.split(" via ") for text in routes(scenario("ring", n=4), "r1"))
    assert via["10.0.7.0/24"] == "10.0.1.2 dev eth0", "h3 is two steps either way; r1-r2 is listed first"


def test_routes_hosts_do_not_forward() -> None:
    topology = Topology((Node("a"), Node("b"), Node("c")), (Link("a", "b"), Link("b", "c")))
    assert routes(topology, "a") == []


def test_routes_switched_off_leaves_the_given_ones() -> None:
    given = Route(node="h1", dst="10.9.0.0/16", iface="eth0")
    base = scenario("chain", n=3)
    topology = Topology(base.nodes, base.links, routes=(given,), derive_routes=False)
    assert routing.derive(topology, interfaces(topology)) == ((given,), ())


def test_routes_two_path_has_a_table_per_source() -> None:
    topology = scenario("two_path")
    assert [text for text in routes(topology, "h1") if ":" not in text] == [
        "10.0.2.0/24 via 10.0.1.2 dev eth0",
        "10.0.4.0/24 via 10.0.3.2 dev eth1",
        "10.0.1.0/24 via None dev eth0 table 101",
        "default via 10.0.1.2 dev eth0 table 101",
        "10.0.3.0/24 via None dev eth1 table 102",
        "default via 10.0.3.2 dev eth1 table 102",
    ]
    assert [text for text in routes(topology, "r1") if ":" not in text] == [
        "10.0.3.1/32 via 10.0.1.1 dev eth0",
        "10.0.4.2/32 via 10.0.2.2 dev eth1",
    ]
    _, rules = routing.derive(topology, interfaces(topology))
    assert [(rule.from_prefix, rule.table) for rule in rules if rule.node == "h2"] == [
        ("10.0.2.2/32", 101),
        ("fd00:2::2/128", 101),
        ("10.0.4.2/32", 102),
        ("fd00:4::2/128", 102),
    ]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("pair", {}),
        ("lan", {"n": 5}),
        ("chain", {"n": 7}),
        ("dumbbell", {"n": 3}),
        ("two_path", {}),
        ("tree", {"depth": 3, "fanout": 2}),
        ("ring", {"n": 7}),
    ],
)
def test_routes_lead_every_host_to_every_other(name: str, params: dict[str, int], version: int) -> None:
    """Walks the derived tables hop by hop, as a packet would."""
    topology = scenario(name, **params)
    ends = interfaces(topology)
    owner = {str(ipaddress.ip_interface(text).ip): end.node for end in ends for text in end.addresses}
    connected: defaultdict[str, list[ipaddress.IPv4Network | ipaddress.IPv6Network]] = defaultdict(list)
    for end in ends:
        connected[end.node] += [ipaddress.ip_interface(text).network for text in end.addresses]
    tables = defaultdict(list)
    for route in routing.derive(topology, ends)[0]:
        if route.table is None:
            dst = {"default": "0.0.0.0/0", "default6": "::/0"}.get(route.dst, route.dst)
            tables[route.node].append((ipaddress.ip_network(dst), route.via))
    hosts = {node.name for node in topology.nodes if node.kind == "host"}
    targets = [text for text, node in owner.items() if node in hosts and ipaddress.ip_address(text).version == version]
    walked = 0
    for start in sorted(hosts):
        for target in targets:
            node, steps = start, 0
            while owner[target] != node:
                address = ipaddress.ip_address(target)
                if any(address in network for network in connected[node]):
                    node = owner[target]
                else:
                    fits = [(network.prefixlen, via) for network, via in tables[node] if address in network]
                    node = owner[str(max(fits)[1])]
                steps += 1
                assert steps <= len(topology.nodes), f"{start} to {target} goes in circles"
            walked += 1
    assert walked == len(hosts) * len(targets) > 0


def test_given_route_takes_the_place_of_a_derived_one() -> None:
    plain = scenario("chain", n=3)
    given = Route(node="h1", dst="default", via="10.0.1.9")
    topology = Topology(
        plain.nodes, plain.links, routes=(given, Route(node="h1", dst="default6", via="fd00::9", metric=7))
    )
    routes, _ = routing.derive(topology, interfaces(topology))
    assert [(r.dst, r.via, r.metric) for r in routes if r.node == "h1"] == [
        ("default6", "fd00:1::2", None),
        ("default", "10.0.1.9", None),
        ("default6", "fd00::9", 7),
    ]
