# SPDX-License-Identifier: MIT
"""Putting a LibOS on a node: its library, its configuration from the topology, its interface, its host program."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from testbed.backends.hostprogram import HostProgram
from testbed.backends.libos import LibOS
from testbed.backends.plan import direction_seed
from testbed.errors import ConfigError
from testbed.libos.library import Library, find_library, host_program
from testbed.scenarios import routing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.backends.node import Node
    from testbed.scenarios.layout import Interface

FOLDER = "/libos"
PROGRAM = f"{FOLDER}/testbed-libos"


class Deployed:
    """A library in a node, with its configuration: what a command line needs.

    Args:
        node: The node.
        library: The library.
        number: Of what is deployed in this node, from 1.
        interface: The interface of a LibOS with a stack of its own, or None for the first.
        config: Values in place of those of the topology.
        env: Further variables.
    """

    def __init__(
        self,
        node: Node,
        library: Library,
        *,
        interface: str | None,
        config: Mapping[str, object] | None,
        env: Mapping[str, str] | None,
    ) -> None:
        node.deployed += 1
        self.number = node.deployed
        self.node = node
        self.library = library
        values = configuration(node, library, interface, self.number) | dict(config or {})
        self.address = str(values["address"] or "")
        if library.owns_interface:
            take_interface(node, str(values["interface"]))
        path = f"{FOLDER}/{library.name}/{library.file.name}"
        node.install(PROGRAM, host_program())
        node.install(path, library.file)
        config_path = f"{FOLDER}/{library.name}/{node.name}.{self.number}.yaml"
        node.write(config_path, library.render(values))
        self.argv = [PROGRAM, "--library", path]
        self.env = {"LIBOS": library.name, "CONFIG_PATH": config_path, **library.env, **(env or {})}
        if library.artifact[0]:
            node.network.artifacts[library.artifact[0]] = library.artifact[1]


def start(
    node: Node,
    flavor: str | Library,
    *,
    interface: str | None = None,
    config: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    limit_s: float,
) -> LibOS:
    """Start a LibOS in a node; see :meth:`testbed.backends.node.Node.libos`."""
    library = flavor if isinstance(flavor, Library) else find_library(flavor)
    deployed = Deployed(node, library, interface=interface, config=config, env=env)
    program = HostProgram(
        node,
        [*deployed.argv, "serve"],
        deployed.env,
        name=f"{node.name}: {library.name}",
        number=deployed.number,
        session=node.network.session,
    )
    libos = LibOS(
        library.name,
        node.name,
        program,
        program.connection(),
        address=deployed.address,
        abilities=library.abilities,
        limit_s=limit_s,
    )
    libos.init([library.name])
    return libos


def configuration(node: Node, library: Library, interface: str | None, number: int) -> dict[str, Any]:
    """Give what a template may use.

    Returns:
        ``node``, ``flavor``, ``seed``, ``spin_us`` (in virtual time 0: nobody can do anything while one spins; else
        None, which is the flavor's own), ``inetstack`` (further settings of a stack: none), ``eal_init`` (the words
        that DPDK is started with: None, which is a port on the interface), and of the interface (None on a node
        without) ``interface``, ``address``, ``prefix_bits``, ``gateway``, ``mac`` and ``mtu``.
    """
    seed = direction_seed(node.network.seed, f"libos {node.name}", number)
    values: dict[str, Any] = {"node": node.name, "flavor": library.name, "seed": seed}
    values |= {"inetstack": {}, "eal_init": None}
    values["spin_us"] = 0 if node.network.virtual_time else None
    empty = dict.fromkeys(("interface", "address", "prefix_bits", "gateway", "mac", "mtu"))
    if not node.interfaces:
        if library.owns_interface:
            raise ConfigError(f"{node.name}: {library.name} needs an interface of its own, and the node has none")
        return values | empty
    end = node.interfaces[0] if interface is None else node.interface(interface)
    first = next((text for text in end.addresses if ":" not in text), None)
    if first is None:
        if library.owns_interface:
            raise ConfigError(f"{node.name}: {library.name} needs an IPv4 address, and {end.name} has none")
        return values | empty | {"interface": end.name, "mac": end.mac, "mtu": end.mtu}
    found = ipaddress.ip_interface(first)
    return values | {
        "interface": end.name,
        "address": str(found.ip),
        "prefix_bits": found.network.prefixlen,
        "gateway": _gateway(node, end),
        "mac": end.mac,
        "mtu": end.mtu,
    }


def take_interface(node: Node, name: str) -> None:
    """Take the IPv4 addresses of an interface from the node's kernel, which else would answer, too: with RST."""
    if name not in node.taken:
        node.run(["ip", "-4", "address", "flush", "dev", name])
        node.taken.add(name)


def _gateway(node: Node, end: Interface) -> str | None:
    """Give the router of a node on the subnet of an interface: of its default route, else of its first route."""
    network = node.network
    routes, _ = routing.derive(network.topology, network.interfaces)
    near = [ipaddress.ip_interface(text).network for text in end.addresses if ":" not in text]
    found = [
        (route.dst != "default", route.via)
        for route in routes
        if route.node == node.name
        and route.table is None
        and route.via is not None
        and any(ipaddress.ip_address(route.via) in subnet for subnet in near)
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None
