# SPDX-License-Identifier: MIT
"""From an agent's plan to what Mininet is to build, and back to the plan of what is left for the agent."""

from __future__ import annotations

from typing import Any

_IPV6 = "/proc/sys/net/ipv6/conf"
_INHERITED = {
    "host": {f"{_IPV6}/default/accept_dad": "0", f"{_IPV6}/default/accept_ra": "0"},
    "switch": {f"{_IPV6}/default/disable_ipv6": "1"},
}


def for_mininet(plan: dict[str, Any], switches: dict[str, str]) -> dict[str, Any]:
    """Say what Mininet builds: nodes, links, switches and IPv4 addresses.

    Args:
        plan: As :func:`testbed.backends.plan.make_plan` makes it.
        switches: Of each switch, what it is: ``bridge``, or the datapath of an Open vSwitch, ``kernel`` or ``user``.

    Returns:
        ``nodes``: name, what it is if it is a switch, the IPv4 address of its first interface or None, and the sysctls
        that its interfaces inherit; ``links``: words of ``Topo.addLink``; ``addresses``: node, interface, address
        of all other IPv4 addresses.
    """
    places: dict[str, int] = {}
    first: dict[str, str | None] = {}
    addresses: list[tuple[str, str, str]] = []
    links = []
    for number, link in enumerate(plan["links"]):
        ends = link["ends"]
        wire: dict[str, Any] = {"number": number, "mtu": max(end["mtu"] for end in ends), "places": []}
        for end in ends:
            place = places[end["node"]] = places.get(end["node"], -1) + 1
            wire["places"].append(place)
            own = _mininets(end["addresses"])
            if place == 0:
                first[end["node"]] = own[0] if own else None
            else:
                addresses += [(end["node"], end["iface"], address) for address in own]
        links.append(
            {
                "nodes": [end["node"] for end in ends],
                "wire": wire,
                "up": None,  # an address brings its interface up, and the agent all others at once: saves two programs
                **{f"intfName{index}": end["iface"] for index, end in enumerate(ends, start=1)},
                **{f"addr{index}": end["mac"] for index, end in enumerate(ends, start=1)},
                # Ports are numbered as the interfaces are: the default one is the first. Those of OpenFlow begin at 1.
                **{
                    f"port{index}": place + (end["node"] in switches)
                    for index, (place, end) in enumerate(zip(wire["places"], ends, strict=True), start=1)
                },
            }
        )
    nodes = [
        {
            "name": node["name"],
            "switch": switches.get(node["name"]),
            "ip": first.get(node["name"]),
            "inherited": _inherited(node),
        }
        for node in plan["nodes"]
    ]
    return {"nodes": nodes, "links": links, "addresses": addresses}


def for_agent(plan: dict[str, Any], built: dict[str, Any]) -> None:
    """Turn a plan into that of what is left: the fabric, IPv6, routes, rules, sysctls; Mininet has made the rest.

    Args:
        plan: Is changed in place.
        built: What the driver answered.
    """
    plan["made"] = {"first": built["first"], "pids": [built["pids"][node["name"]] for node in plan["nodes"]]}
    for link in plan["links"]:
        for end in link["ends"]:
            done = set(_mininets(end["addresses"]))
            end["addresses"] = [address for address in end["addresses"] if address not in done]


def _mininets(addresses: list[str]) -> list[str]:
    """Give the address that Mininet sets: the first IPv4 one, as its interfaces have one at most."""
    return [address for address in addresses if ":" not in address][:1]


def _inherited(node: dict[str, Any]) -> dict[str, str]:
    """Give the switches of a namespace that interfaces copy when they are made: path to value."""
    base = _INHERITED["switch" if node["kind"] == "switch" else "host"]
    wanted = {key: value for key, value in node["sysctls"].items() if ".conf.default." in key}
    return {**base, **{f"/proc/sys/{key.replace('.', '/')}": value for key, value in wanted.items()}}
