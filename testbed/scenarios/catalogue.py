# SPDX-License-Identifier: MIT
"""The scenarios that come with testbed: named, parametrised functions that return a Topology.

All but ``single`` take the keywords of a :class:`~testbed.scenarios.shape.Shape` (``rate_bps``, ``delay_ms``, ...)
for both directions of the links that their docstring names.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Unpack

from testbed.scenarios.checks import whole
from testbed.scenarios.shape import Shape, shape_from
from testbed.scenarios.topology import Link, Node, Topology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.scenarios.shape import ShapeParams

MOST_NODES = 10_000


def single() -> Topology:
    """Make one host, ``h1``, without any link."""
    return Topology((Node("h1"),))


def pair(**shape: Unpack[ShapeParams]) -> Topology:
    """Make two hosts on one cable: ``h1`` - ``h2``; the shape is the cable's."""
    return Topology((Node("h1"), Node("h2")), (Link("h1", "h2", Shape(**shape)),))


def lan(*, n: int = 4, **shape: Unpack[ShapeParams]) -> Topology:
    """Make a switch ``s1`` with hosts ``h1`` ... ``hn``; the shape is that of each host's cable.

    Args:
        n: Number of hosts, 1 or more.
    """
    whole("n", n, least=1, most=MOST_NODES)
    hosts = [f"h{number}" for number in range(1, n + 1)]
    links = tuple(Link(host, "s1", Shape(**shape)) for host in hosts)
    return Topology((Node("s1", "switch"), *map(Node, hosts)), links)


def chain(*, n: int = 3, **shape: Unpack[ShapeParams]) -> Topology:
    """Make ``n`` nodes in a row: ``h1`` - ``r1`` - ... - ``h2``, inner ones routers; the shape is that of each cable.

    Args:
        n: Number of nodes, both hosts included, 2 or more.
    """
    whole("n", n, least=2, most=MOST_NODES)
    names = ["h1", *(f"r{number}" for number in range(1, n - 1)), "h2"]
    nodes = tuple(Node(name, "router" if name.startswith("r") else "host") for name in names)
    return Topology(nodes, tuple(Link(a, b, Shape(**shape)) for a, b in itertools.pairwise(names)))


def dumbbell(*, n: int = 2, **shape: Unpack[ShapeParams]) -> Topology:
    """Make clients ``c1`` ... at router ``r1`` and servers ``s1`` ... at router ``r2``; the shape is that of ``r1-r2``.

    Args:
        n: Number of hosts on each side, 1 or more.
    """
    whole("n", n, least=1, most=MOST_NODES // 2)
    clients = [f"c{number}" for number in range(1, n + 1)]
    servers = [f"s{number}" for number in range(1, n + 1)]
    links = [Link(client, "r1") for client in clients]
    links.append(Link("r1", "r2", Shape(**shape)))
    links += [Link("r2", server) for server in servers]
    return Topology((Node("r1", "router"), Node("r2", "router"), *map(Node, clients + servers)), tuple(links))


def two_path(
    *,
    path1: Mapping[str, object] | None = None,
    path2: Mapping[str, object] | None = None,
    **shape: Unpack[ShapeParams],
) -> Topology:
    """Make two hosts with two paths, ``h1`` - ``r1`` - ``h2`` and ``h1`` - ``r2`` - ``h2``, and per-source rules.

    The shape is that of ``h1-r1`` and ``h1-r2``; the cables to ``h2`` are clean, so each path has it once.

    Args:
        path1: What differs on the path over ``r1``, such as ``{"rate_bps": 5_000_000, "delay_ms": 10}``.
        path2: The same for the path over ``r2``.
    """
    first = shape_from({**shape, **(path1 or {})})
    second = shape_from({**shape, **(path2 or {})})
    return Topology(
        (Node("h1"), Node("h2"), Node("r1", "router"), Node("r2", "router")),
        (Link("h1", "r1", first), Link("r1", "h2"), Link("h1", "r2", second), Link("r2", "h2")),
        per_source=True,
    )


def tree(*, depth: int = 2, fanout: int = 2, **shape: Unpack[ShapeParams]) -> Topology:
    """Make a tree of routers with root ``r1`` and hosts ``h1`` ... as leaves; the shape is that of each cable.

    Args:
        depth: Cables from the root to a host, 1 or more.
        fanout: Children of each router, 1 or more.
    """
    whole("depth", depth, least=1, most=16)
    whole("fanout", fanout, least=1, most=MOST_NODES)
    whole("fanout ** depth", fanout**depth, least=1, most=MOST_NODES)
    nodes, links, level, routers = [Node("r1", "router")], [], ["r1"], 1
    for step in range(1, depth + 1):
        children: list[str] = []
        for parent in level:
            for _ in range(fanout):
                routers += step < depth
                child = f"r{routers}" if step < depth else f"h{len(children) + 1}"
                children.append(child)
                nodes.append(Node(child, "router" if step < depth else "host"))
                links.append(Link(parent, child, Shape(**shape)))
        level = children
    return Topology(tuple(nodes), tuple(links))


def ring(*, n: int = 4, **shape: Unpack[ShapeParams]) -> Topology:
    """Make a ring of routers ``r1`` ... ``rn``, each with a host ``h1`` ... ``hn``; the shape is that of the ring.

    Args:
        n: Number of routers, 3 or more.
    """
    whole("n", n, least=3, most=MOST_NODES // 2)
    numbers = range(1, n + 1)
    links = [Link(f"r{number}", f"r{number % n + 1}", Shape(**shape)) for number in numbers]
    links += [Link(f"h{number}", f"r{number}") for number in numbers]
    routers = [Node(f"r{number}", "router") for number in numbers]
    return Topology((*routers, *(Node(f"h{number}") for number in numbers)), tuple(links))
