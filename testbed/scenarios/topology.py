# SPDX-License-Identifier: MIT
"""A topology as pure data: nodes, links, routes and rules. It knows no backend."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from testbed.errors import ConfigError, near_misses
from testbed.scenarios import checks
from testbed.scenarios.shape import Shape, shape_from

Kind = Literal["host", "router", "switch"]
Switch = Literal["bridge", "ovs", "ovs-user"]
SWITCHES: tuple[Switch, ...] = ("bridge", "ovs", "ovs-user")
"""What a switch can be where there is a choice (backend ``mininet``): a Linux bridge; Open vSwitch with the kernel's
datapath, or its own where the kernel has none; Open vSwitch with its own."""
_T = TypeVar("_T")


@dataclass(frozen=True, init=False)
class Node:
    """One machine of a topology.

    Args:
        name: 1 to 15 letters, digits, ``_``, ``.`` or ``-``; unique in the topology.
        kind: ``host``; ``router`` (forwards IPv4 and IPv6); ``switch`` (one bridge over all its links, no addresses).
        sysctls: Values to set at bring-up, such as ``{"net.ipv4.tcp_ecn": "1"}``.
        switch: What a switch is, on a backend that has a choice; None leaves it to the backend. It learns addresses
            and knows no controller whatever it is.
    """

    name: str
    kind: Kind = "host"
    sysctls: tuple[tuple[str, str], ...] = ()
    switch: Switch | None = None

    def __init__(
        self,
        name: str,
        kind: Kind = "host",
        sysctls: Mapping[str, object] | Sequence[tuple[str, str]] = (),
        switch: Switch | None = None,
    ) -> None:
        checks.node_name(name)
        checks.choice("kind of node", kind, ("host", "router", "switch"))
        if switch is not None:
            checks.choice("kind of switch", switch, SWITCHES)
            if kind != "switch":
                raise ConfigError(f"the {kind} {name!r} cannot be a switch of the kind {switch!r}")
        pairs = sysctls.items() if isinstance(sysctls, Mapping) else sysctls
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "sysctls", tuple((checks.sysctl(str(key)), str(value)) for key, value in pairs))
        object.__setattr__(self, "switch", switch)


@dataclass(frozen=True)
class Link:
    """One cable between two nodes.

    Args:
        a: Name of the node at end 0.
        b: Name of the node at end 1.
        shape: What happens to frames from ``a`` to ``b``.
        shape_back: The same from ``b`` to ``a``; None is as ``shape``.
        mtu: Largest packet in bytes, 68 to 65,535 (below 1280 there is no IPv6).
        name: Name of the link; None is ``a-b`` (a second one between the two is ``a-b-2``).
        addresses_a: Addresses with prefix length for end ``a``; None derives them.
        addresses_b: The same for end ``b``.
    """

    a: str
    b: str
    shape: Shape = field(default_factory=Shape)
    shape_back: Shape | None = None
    mtu: int = 1500
    name: str | None = None
    addresses_a: tuple[str, ...] | None = None
    addresses_b: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            checks.link_name(self.name)
        if self.a == self.b:
            raise ConfigError(f"a link joins two nodes, not {self.a!r} with itself", hint="a node has lo for that")
        checks.whole("mtu", self.mtu, least=68, most=65535)
        for end in ("addresses_a", "addresses_b"):
            given = getattr(self, end)
            if given is not None:
                object.__setattr__(self, end, tuple(checks.interface_address(text) for text in given))

    @property
    def ends(self) -> tuple[str, str]:
        """The names of both nodes, end 0 first."""
        return (self.a, self.b)

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """The shapes of both directions, ``a`` to ``b`` first."""
        return (self.shape, self.shape if self.shape_back is None else self.shape_back)

    def addresses(self, end: int) -> tuple[str, ...] | None:
        """Give the addresses given for an end (0 or 1), or None where they are to be derived."""
        return self.addresses_b if end else self.addresses_a


@dataclass(frozen=True, kw_only=True)
class Route:
    """One route of one node, as ``ip route add``; give ``via``, ``iface`` or both.

    Args:
        node: The node that gets it.
        dst: A prefix, ``default`` (IPv4) or ``default6``.
        via: Address of the gateway.
        iface: Name of the interface in the node (``eth0``, ...).
        metric: Priority; lower wins.
        table: Routing table, 1 to 2**32 - 1; None is the main one.
        src: Preferred source address.
    """

    node: str
    dst: str
    via: str | None = None
    iface: str | None = None
    metric: int | None = None
    table: int | None = None
    src: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dst", checks.destination(self.dst))
        version = 6 if ":" in self.dst or self.dst == "default6" else 4
        for name in ("via", "src"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checks.address(getattr(self, name), version=version))
        if self.via is None and self.iface is None:
            raise ConfigError(f"the route of {self.node!r} to {self.dst} needs a gateway (via) or an interface (iface)")
        if self.table is not None:
            checks.whole("table", self.table, least=1, most=2**32 - 1)
        if self.metric is not None:
            checks.whole("metric", self.metric, least=0, most=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One policy rule of one node, as ``ip rule add from ... to ... lookup TABLE``.

    Args:
        node: The node that gets it.
        table: Routing table to look in.
        from_prefix: Source addresses that it is for.
        to_prefix: Destinations that it is for.
        priority: Lower is asked first; None lets the kernel choose.
    """

    node: str
    table: int
    from_prefix: str | None = None
    to_prefix: str | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        checks.whole("table", self.table, least=1, most=2**32 - 1)
        if self.from_prefix is None and self.to_prefix is None:
            raise ConfigError(f"the rule of {self.node!r} for table {self.table} needs from_prefix or to_prefix")
        for name in ("from_prefix", "to_prefix"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checks.prefix(getattr(self, name)))


@dataclass(frozen=True)
class Topology:
    """Nodes and the links between them, checked as a whole; parts need not be connected.

    Args:
        nodes: All nodes, in the order in which they are made.
        links: All links; a node's interfaces are ``eth0``, ``eth1``, ... in this order.
        routes: Routes beside the derived ones.
        rules: Policy rules beside the derived ones.
        derive_routes: Whether static routes are derived: shortest paths, ties by the order of links.
        per_source: Whether hosts with several interfaces get a table and a rule per source address,
            so that a packet leaves by the interface whose address it carries (what MPTCP wants).

    Raises:
        ConfigError: Something does not fit together.
    """

    nodes: tuple[Node, ...]
    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    derive_routes: bool = True
    per_source: bool = False

    def __post_init__(self) -> None:
        for name in ("nodes", "links", "routes", "rules"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "links", _named(self.links))
        self._check_nodes()
        self._check_links()
        checks.no_switch_loop(
            [node.name for node in self.nodes if node.kind == "switch"], [(link.name, link.ends) for link in self.links]
        )

    def _check_nodes(self) -> None:
        if not self.nodes:
            raise ConfigError("a topology needs at least one node, this one is empty")
        for name, count in Counter(node.name for node in self.nodes).items():
            if count > 1:
                raise ConfigError(f"{count} nodes have the name {name!r}; names must differ")

    def _check_links(self) -> None:
        for name, count in Counter(link.name for link in self.links).items():
            if count > 1:
                raise ConfigError(f"{count} links have the name {name!r}; names must differ")
        for link in self.links:
            for end, name in enumerate(link.ends):
                kind = self.node(name, where=f"link {link.name!r}").kind
                if kind == "switch" and link.addresses(end):
                    raise ConfigError(f"link {link.name!r}: the switch {name!r} cannot have addresses")
        for what, name in [("route", part.node) for part in self.routes] + [("rule", part.node) for part in self.rules]:
            if self.node(name, where=what).kind == "switch":
                raise ConfigError(f"the switch {name!r} cannot have a {what}")

    def node(self, name: str, *, where: str = "topology") -> Node:
        """Give a node by its name.

        Raises:
            ConfigError: There is none; names near misses.
        """
        if name not in self._by_name:
            raise ConfigError(f"{where}: no node {name!r}; {near_misses(name, self._by_name)}")
        return self._by_name[name]

    @functools.cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def to_dict(self) -> dict[str, object]:
        """Give the topology as JSON-able data, which :meth:`from_dict` takes back."""
        return {
            "version": 1,
            "nodes": tuple(_plain_node(node) for node in self.nodes),
            "links": tuple(_plain_link(link) for link in self.links),
            "routes": tuple(dict(vars(route)) for route in self.routes),
            "rules": tuple(dict(vars(rule)) for rule in self.rules),
            "derive_routes": self.derive_routes,
            "per_source": self.per_source,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Topology:
        """Make a topology of what :meth:`to_dict` gave.

        Raises:
            ConfigError: A key is unknown or missing, or a value does not fit.
        """
        known = dict(data)
        version = known.pop("version", 1)
        if version != 1:
            raise ConfigError(f"topology: version must be 1, not {version!r}")
        _known_keys("topology", known, cls)
        return cls(
            nodes=tuple(_make(Node, item) for item in _items(known, "nodes")),
            links=tuple(_make(Link, _link_values(item)) for item in _items(known, "links")),
            routes=tuple(_make(Route, item) for item in _items(known, "routes")),
            rules=tuple(_make(Rule, item) for item in _items(known, "rules")),
            derive_routes=bool(known.get("derive_routes", True)),
            per_source=bool(known.get("per_source", False)),
        )

    def digest(self) -> str:
        """Give the SHA-256 (hexadecimal) of the canonical JSON of the topology."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _named(links: tuple[Link, ...]) -> tuple[Link, ...]:
    """Give names to the links that have none: ``a-b``, then ``a-b-2``, ... for repeated pairs."""
    seen: Counter[frozenset[str]] = Counter()
    named = []
    for link in links:
        pair = frozenset(link.ends)
        seen[pair] += 1
        suffix = f"-{seen[pair]}" if seen[pair] > 1 else ""
        named.append(link if link.name is not None else dataclasses.replace(link, name=f"{link.a}-{link.b}{suffix}"))
    return tuple(named)


def _plain_node(node: Node) -> dict[str, object]:
    values = {**vars(node), "sysctls": dict(node.sysctls)}
    if node.switch is None:
        del values["switch"]  # digests of topologies without are those of before there was a choice
    return values


def _plain_link(link: Link) -> dict[str, object]:
    back = link.shape_back
    return {**vars(link), "shape": dict(vars(link.shape)), "shape_back": None if back is None else dict(vars(back))}


def _items(data: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    found = data.get(name, [])
    if not isinstance(found, list | tuple) or not all(isinstance(item, Mapping) for item in found):
        raise ConfigError(f"topology: {name} must be a list of objects, not {found!r}")
    return list(found)


def _link_values(item: Mapping[str, object]) -> dict[str, object]:
    values = dict(item)
    for name in ("shape", "shape_back"):
        given = values.get(name)
        if isinstance(given, Mapping):
            values[name] = shape_from(given)
    return values


def _make(cls: type[_T], item: Mapping[str, object]) -> _T:
    _known_keys(cls.__name__.lower(), item, cls)
    try:
        return cls(**item)
    except TypeError as error:
        raise ConfigError(f"{cls.__name__.lower()} {dict(item)!r}: {error}") from error


def _known_keys(what: str, item: Mapping[str, object], cls: type) -> None:
    valid = [part.name for part in dataclasses.fields(cls)]
    for key in item:
        if key not in valid:
            raise ConfigError(f"{what}: unknown key {key!r}; {near_misses(str(key), valid)}")
