# SPDX-License-Identifier: MIT
"""Static routes along shortest paths, and the per-source rules of hosts with several interfaces."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.scenarios.topology import Route, Rule, Topology

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.scenarios.layout import Interface

FIRST_TABLE = 101  # table of a host's eth0; eth1 has 102, and so on


@dataclass(frozen=True)
class _Hop:
    """The first step from a node towards a segment; ``gateway`` is None where the node is on the segment itself."""

    interface: Interface
    gateway: Interface | None


def derive(topology: Topology, interfaces: Sequence[Interface]) -> tuple[tuple[Route, ...], tuple[Rule, ...]]:
    """Derive the static routes and rules of a topology.

    Every node gets a route to every subnet that it reaches over routers, by the fewest hops (ties: the link listed
    first wins). A host whose routes all have one gateway gets a default route instead. With ``per_source`` a
    host with several interfaces also gets, for each, a table (101 for ``eth0``, ...) whose default route uses that
    interface, and a rule for each of its addresses; and routers that cannot reach one of its addresses through
    other routers get a route to it through the host itself (which answers for all its addresses on every interface).
    A route that is given takes the place of a derived one with the same destination, metric and table.

    Returns:
        The routes and the rules, the given ones last.
    """
    if not topology.derive_routes:
        return topology.routes, topology.rules
    graph = _Graph(topology, interfaces)
    routes: list[Route] = []
    rules: list[Rule] = []
    for node in topology.nodes:
        if node.kind == "switch":
            continue
        hops = graph.hops(node.name)
        for version in (4, 6):
            found = _to_subnets(graph, node.name, hops, version)
            if topology.per_source:
                found += _to_hosts(graph, node.name, hops, version)
            routes += _as_default(found, version) if node.kind == "host" else found
        if topology.per_source and node.kind == "host" and len(graph.of_node[node.name]) > 1:
            more_routes, more_rules = _per_source(graph, node.name)
            routes += more_routes
            rules += more_rules
    taken = {_place(route) for route in topology.routes}
    left = (route for route in routes if _place(route) not in taken)
    return (*left, *topology.routes), (*rules, *topology.rules)


def _place(route: Route) -> tuple[object, ...]:
    """Give what no two routes of a kernel may have in common."""
    return (route.node, route.dst, route.metric or 0, route.table)


class _Graph:
    """Who is on which segment, and who forwards."""

    def __init__(self, topology: Topology, interfaces: Sequence[Interface]) -> None:
        kinds = {node.name: node.kind for node in topology.nodes}
        self.routers = {name for name, kind in kinds.items() if kind == "router"}
        self.of_node: dict[str, list[Interface]] = {name: [] for name in kinds}
        self.on_segment: dict[int, list[Interface]] = {}
        for interface in interfaces:
            self.of_node[interface.node].append(interface)
            if kinds[interface.node] != "switch":
                self.on_segment.setdefault(interface.segment, []).append(interface)
        self._prefixes: dict[int, tuple[str, ...]] = {}
        self.routers_on = {
            number: [end for end in ends if end.node in self.routers] for number, ends in self.on_segment.items()
        }
        self.multihomed = [
            name
            for name, ends in self.of_node.items()
            if kinds[name] == "host" and len({end.segment for end in ends}) > 1
        ]

    def hops(self, node: str) -> dict[int, _Hop]:
        """Give the first step to each segment that a node reaches, nearest segments first."""
        found: dict[int, _Hop] = {}
        frontier: list[tuple[str, _Hop | None]] = [(node, None)]
        seen = {node}
        while frontier:
            following: list[tuple[str, _Hop | None]] = []
            for name, hop in frontier:
                for interface in self.of_node[name]:
                    if interface.segment in found:
                        continue
                    here = hop or _Hop(interface, None)
                    found[interface.segment] = here
                    for other in self.routers_on[interface.segment]:
                        if other.node not in seen:
                            seen.add(other.node)
                            following.append((other.node, hop or _Hop(interface, other)))
            frontier = following
        return found

    def prefixes(self, segment: int) -> tuple[str, ...]:
        """Give the subnets of a segment in the order in which they are first seen."""
        if segment not in self._prefixes:
            self._prefixes[segment] = _prefixes(self.on_segment[segment])
        return self._prefixes[segment]


def _prefixes(ends: Iterable[Interface]) -> tuple[str, ...]:
    """Give the subnets of a segment in the order in which they are first seen."""
    return tuple(dict.fromkeys(str(ipaddress.ip_interface(text).network) for end in ends for text in end.addresses))


def _version(text: str) -> int:
    return 6 if ":" in text else 4


def _to_subnets(graph: _Graph, node: str, hops: dict[int, _Hop], version: int) -> list[Route]:
    """Give the routes of a node to all subnets that it is not on."""
    routes = []
    for segment in sorted(hops):
        hop = hops[segment]
        via = hop.gateway.address(version) if hop.gateway else None
        if via is not None:
            routes += [
                Route(node=node, dst=prefix, via=via, iface=hop.interface.name)
                for prefix in graph.prefixes(segment)
                if _version(prefix) == version
            ]
    return routes


def _to_hosts(graph: _Graph, node: str, hops: dict[int, _Hop], version: int) -> list[Route]:
    """Give the routes to those addresses of hosts with several interfaces that no router leads to."""
    routes = []
    for host in graph.multihomed:
        reached = next((end for end in graph.of_node[host] if end.segment in hops), None)
        if host == node or reached is None:
            continue
        hop = hops[reached.segment]
        via = (hop.gateway or reached).address(version)
        for end in graph.of_node[host]:
            address = end.address(version)
            if end.segment not in hops and address is not None and via is not None:
                length = 32 if version == 4 else 128
                routes.append(Route(node=node, dst=f"{address}/{length}", via=via, iface=hop.interface.name))
    return routes


def _as_default(routes: list[Route], version: int) -> list[Route]:
    """Replace routes that share one gateway by a default route."""
    if len({(route.via, route.iface) for route in routes}) != 1:
        return routes
    first = routes[0]
    return [Route(node=first.node, dst="default" if version == 4 else "default6", via=first.via, iface=first.iface)]


def _per_source(graph: _Graph, node: str) -> tuple[list[Route], list[Rule]]:
    """Give a host a table and rules for each of its interfaces."""
    routes: list[Route] = []
    rules: list[Rule] = []
    for table, interface in enumerate(graph.of_node[node], start=FIRST_TABLE):
        routers = graph.routers_on[interface.segment]
        for text in interface.addresses:
            found = ipaddress.ip_interface(text)
            routes.append(
                Route(node=node, dst=str(found.network), iface=interface.name, table=table, src=str(found.ip))
            )
            rules.append(Rule(node=node, from_prefix=f"{found.ip}/{found.max_prefixlen}", table=table))
        for version in (4, 6):
            via = routers[0].address(version) if routers else None
            if via is not None and interface.address(version) is not None:
                dst = "default" if version == 4 else "default6"
                routes.append(Route(node=node, dst=dst, via=via, iface=interface.name, table=table))
    return routes, rules
