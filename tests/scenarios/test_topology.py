# SPDX-License-Identifier: MIT
"""What a topology accepts, refuses, and gives back."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

import pytest

from testbed.errors import ConfigError
from testbed.scenarios.registry import scenario
from testbed.scenarios.shape import Shape, shape_from
from testbed.scenarios.topology import Link, Node, Route, Rule, Topology

if TYPE_CHECKING:
    from collections.abc import Callable

H1, H2 = Node("h1"), Node("h2")
S1, S2, S3 = Node("s1", "switch"), Node("s2", "switch"), Node("s3", "switch")

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "empty topology": (lambda: Topology(()), "a topology needs at least one node, this one is empty"),
    "duplicate nodes": (lambda: Topology((H1, H1)), "2 nodes have the name 'h1'; names must differ"),
    "kind of switch": (
        lambda: Node("s1", "switch", switch="osv"),  # type: ignore[arg-type]
        "kind of switch 'osv' does not exist; did you mean 'ovs'?",
    ),
    "host as a switch": (
        lambda: Node("h1", switch="ovs"),
        "the host 'h1' cannot be a switch of the kind 'ovs'",
    ),
    "link to nowhere": (
        lambda: Topology((H1, H2), (Link("h1", "h22"),)),
        "link 'h1-h22': no node 'h22'; did you mean 'h2'?",
    ),
    "self link": (
        lambda: Link("h1", "h1"),
        "a link joins two nodes, not 'h1' with itself\nhint: a node has lo for that",
    ),
    "duplicate links": (
        lambda: Topology((H1, H2), (Link("h1", "h2", name="x"), Link("h2", "h1", name="x"))),
        "2 links have the name 'x'; names must differ",
    ),
    "long node name": (
        lambda: Node("a" * 16),
        "the name 'aaaaaaaaaaaaaaaa' of a node has 16 characters; at most 15 are possible",
    ),
    "slash in node name": (
        lambda: Node("a/b"),
        "a node cannot have the name 'a/b'\nhint: use letters, digits, '_', '-' and '.'",
    ),
    "dots as node name": (
        lambda: Node(".."),
        "a node cannot have the name '..'\nhint: use letters, digits, '_', '-' and '.'",
    ),
    "newline in link name": (
        lambda: Link("h1", "h2", name="a\n"),
        "a link cannot have the name 'a\\n'\nhint: use letters, digits, '_', '-' and '.'",
    ),
    "unknown kind": (
        lambda: Node("x", "ruter"),  # type: ignore[arg-type]
        "kind of node 'ruter' does not exist; did you mean 'router'?",
    ),
    "sysctl that is a path": (
        lambda: Node("x", sysctls={"../../etc/passwd": 1}),
        "'../../etc/passwd' is no name of a sysctl\nhint: such as 'net.ipv4.tcp_ecn'",
    ),
    "loss above one": (
        lambda: Shape(loss_ratio=1.5),
        "loss_ratio must be a number from 0 to 1, not 1.5\nhint: a ratio, not per cent: 1.5 % is 0.015",
    ),
    "NaN loss": (
        lambda: Shape(loss_ratio=math.nan),
        "loss_ratio must be a number from 0 to 1, not nan\nhint: a ratio, not per cent: nan % is 0.01",
    ),
    "infinite delay": (
        lambda: Shape(delay_ms=math.inf),
        "delay_ms must be a number from 0 to 3.6e+06, not inf\nhint: milliseconds, up to an hour",
    ),
    "negative delay": (
        lambda: Shape(delay_ms=-1),
        "delay_ms must be a number from 0 to 3.6e+06, not -1\nhint: milliseconds, up to an hour",
    ),
    "delay as text": (
        lambda: Shape(delay_ms="5"),  # type: ignore[arg-type]
        "delay_ms must be a number from 0 to 3.6e+06, not '5'\nhint: milliseconds, up to an hour",
    ),
    "rate zero": (
        lambda: Shape(rate_bps=0),
        "rate_bps must be a whole number from 8 to 1099511627776, not 0\nhint: bits per second, such as 10_000_000",
    ),
    "queue of nothing": (
        lambda: Shape(queue_packets=0),
        "queue_packets must be a whole number from 1 to 16777216, not 0\nhint: tc-netem(8) uses 1000",
    ),
    "jitter without delay": (
        lambda: Shape(jitter_ms=2),
        (
            "jitter_ms must be at most delay_ms, not 2 with delay_ms=0.0\n"
            "hint: a frame cannot arrive before it was sent; raise delay_ms"
        ),
    ),
    "reorder without delay": (
        lambda: Shape(reorder_ratio=0.1),
        "reorder_ratio=0.1 needs a delay_ms: reordered frames overtake delayed ones\nhint: set delay_ms as well",
    ),
    "unknown shape word": (lambda: shape_from({"delay": 5}), "a link has no 'delay'; did you mean 'delay_ms'?"),
    "mtu too small": (lambda: Link("a", "b", mtu=10), "mtu must be a whole number from 68 to 65535, not 10"),
    "address without prefix": (
        lambda: Link("a", "b", addresses_a=("10.0.0.1",)),
        "the address '10.0.0.1' needs a prefix length\nhint: such as '10.0.0.1/24'",
    ),
    "address of a switch": (
        lambda: Topology((H1, S1), (Link("h1", "s1", addresses_b=("10.0.0.1/24",)),)),
        "link 'h1-s1': the switch 's1' cannot have addresses",
    ),
    "loop of switches": (
        lambda: Topology((S1, S2, S3), (Link("s1", "s2"), Link("s2", "s3"), Link("s3", "s1"))),
        (
            "link 's3-s1' closes a loop of switches, in which frames would circle for ever\n"
            "hint: make one of the switches a router, or leave the link out"
        ),
    ),
    "two cables between switches": (
        lambda: Topology((S1, S2), (Link("s1", "s2"), Link("s1", "s2"))),
        (
            "link 's1-s2-2' closes a loop of switches, in which frames would circle for ever\n"
            "hint: make one of the switches a router, or leave the link out"
        ),
    ),
    "route of nobody": (
        lambda: Topology((H1,), routes=(Route(node="h3", dst="default", iface="eth0"),)),
        "route: no node 'h3'; valid: h1",
    ),
    "route to host bits": (
        lambda: Route(node="h1", dst="10.0.0.1/24", iface="eth0"),
        "'10.0.0.1/24' is no prefix: 10.0.0.1/24 has host bits set\nhint: such as '10.0.2.0/24'",
    ),
    "route of two versions": (
        lambda: Route(node="h1", dst="default", via="fd00::1"),
        "'fd00::1' is an IPv6 address where IPv4 is needed",
    ),
    "route to nowhere": (
        lambda: Route(node="h1", dst="default"),
        "the route of 'h1' to default needs a gateway (via) or an interface (iface)",
    ),
    "rule for everything": (
        lambda: Rule(node="h1", table=5),
        "the rule of 'h1' for table 5 needs from_prefix or to_prefix",
    ),
    "rule of a switch": (
        lambda: Topology((S1,), rules=(Rule(node="s1", table=5, from_prefix="10.0.0.0/8"),)),
        "the switch 's1' cannot have a rule",
    ),
    "unknown key in JSON": (
        lambda: Topology.from_dict({"nodes": [{"name": "h1"}], "link": []}),
        "topology: unknown key 'link'; did you mean 'links'?",
    ),
    "missing key in JSON": (
        lambda: Topology.from_dict({"nodes": [{"kind": "host"}]}),
        "node {'kind': 'host'}: Node.__init__() missing 1 required positional argument: 'name'",
    ),
    "version from the future": (
        lambda: Topology.from_dict({"version": 2, "nodes": []}),
        "topology: version must be 1, not 2",
    ),
    "nodes that are no list": (
        lambda: Topology.from_dict({"nodes": 5}),
        "topology: nodes must be a list of objects, not 5",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_topology_refused(what: str) -> None:
    make, message = REFUSED[what]
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make()


def test_topology_disconnected_is_accepted() -> None:
    assert len(Topology((H1, H2)).nodes) == 2


def test_link_names_repeated_pairs_are_numbered() -> None:
    topology = Topology((H1, H2), (Link("h1", "h2"), Link("h2", "h1"), Link("h1", "h2", name="third")))
    assert [link.name for link in topology.links] == ["h1-h2", "h2-h1-2", "third"]


def test_link_shape_back_defaults_to_shape() -> None:
    there, back = Shape(delay_ms=1), Shape(delay_ms=2)
    assert Link("a", "b", there).shapes == (there, there)
    assert Link("a", "b", there, back).shapes == (there, back)


def test_shape_changed_keeps_the_rest() -> None:
    assert Shape(delay_ms=10, loss_ratio=0.1).changed(loss_ratio=0.2) == Shape(delay_ms=10, loss_ratio=0.2)


def test_topology_json_round_trip() -> None:
    topology = Topology(
        (Node("h1", sysctls={"net.ipv4.tcp_ecn": 1}), Node("r", "router"), S1),
        (
            Link(
                "h1",
                "r",
                Shape(delay_ms=5, loss_ratio=0.01),
                Shape(rate_bps=1000),
                mtu=9000,
                addresses_a=("10.1.0.1/30",),
            ),
            Link("r", "s1"),
        ),
        routes=(Route(node="h1", dst="fd00:9::/64", via="fd00::1", table=7, metric=3, src="fd00::2"),),
        rules=(Rule(node="h1", table=7, from_prefix="10.0.0.0/8", priority=4),),
        derive_routes=False,
        per_source=True,
    )
    again = Topology.from_dict(json.loads(json.dumps(topology.to_dict())))
    assert again == topology
    assert again.digest() == topology.digest()
    assert hash(again) == hash(topology)


def test_topology_digest_tells_topologies_apart() -> None:
    made = [scenario("pair"), scenario("pair", delay_ms=1), scenario("lan", n=3), scenario("lan", n=4)]
    assert len({topology.digest() for topology in made}) == 4


def test_topology_keeps_the_kinds_of_its_switches() -> None:
    topology = Topology((H1, S1, Node("s2", "switch", switch="ovs")))
    data = json.loads(json.dumps(topology.to_dict()))
    assert ["switch" in node for node in data["nodes"]] == [False, False, True]
    assert Topology.from_dict(data) == topology
    assert topology.digest() != Topology((H1, S1, S2)).digest()


def test_topology_digest_is_stable() -> None:
    """The digest is part of Records: it changes only when the form of a topology does."""
    assert scenario("single").digest() == "eefc3c77c9593cdee5c9810f8bd0540a4ecd6af67f4df9ce1e5f01b059d6cc4e"
