# SPDX-License-Identifier: MIT
"""Cutting a plan into one per machine: a machine gets its node, and for each cable a bridge that its NIC is joined to.

A cable ``h1 - h2`` becomes ``h1 - wire`` on the machine h1, where what h1 sends is shaped, and ``h2 - wire`` on h2. A
switch is no machine but the LAN itself: what it sends towards ``h1`` is shaped on h1, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed.backends.cloudlab.problems import NodeLacks

if TYPE_CHECKING:
    from testbed.backends.cloudlab.manifest import Manifest, Port

CLEAN = {
    "rate_bps": None,
    "delay_ns": 0,
    "jitter_ns": 0,
    "loss": 0.0,
    "reorder": 0.0,
    "duplicate": 0.0,
    "corrupt": 0.0,
    "queue_packets": 1000,
    "seed": 0,
}


@dataclass(frozen=True)
class Cable:
    """A machine's part of a link.

    Args:
        link, end: The link in the topology, and the end that the machine's node has.
        port: The experiment interface that carries it.
        both: Whether the other end is a LAN, so that both directions are shaped here.
        wire: Name of the bridge's node in the machine's network.
        mtu: Largest packet, bytes.
    """

    link: int
    end: int
    port: Port
    both: bool
    wire: str
    mtu: int

    def shapes(self, shapes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Turn the shapes of both directions of the link into those of the part, the node's own direction first."""
        return [
            shapes[self.end],
            shapes[1 - self.end] if self.both else {**CLEAN, "seed": shapes[1 - self.end]["seed"]},
        ]


@dataclass
class Part:
    """What one machine gets.

    Args:
        machine: Its name, and that of its node.
        plan: The plan for its agent.
        cables: Its part of each link, in the order of the plan's links.
    """

    machine: str
    plan: dict[str, Any]
    cables: list[Cable] = field(default_factory=list)


def cut(plan: dict[str, Any], manifest: Manifest) -> dict[str, Part]:
    """Cut a plan into parts, by the name of the machine.

    Raises:
        NodeLacks: The experiment has no such node, no such link, or not enough of them; or a switch has a shape of
            its own that no machine could put on.
    """
    kinds = {node["name"]: node["kind"] for node in plan["nodes"]}
    hosts = [name for name, kind in kinds.items() if kind != "switch"]
    absent = [name for name in hosts if name not in manifest.machines]
    if absent:
        raise NodeLacks(
            f"the scenario needs the nodes {', '.join(hosts)}; the manifest has no {', '.join(absent)}",
            hint="testbed cloudlab profile SCENARIO renders the experiment that a scenario needs",
        )
    parts = {
        node["name"]: Part(node["name"], {**plan, "nodes": [node], "links": []})
        for node in plan["nodes"]
        if node["kind"] != "switch"
    }
    segments = _segments(plan, kinds)
    taken: set[tuple[str, str]] = set()
    for number, link in enumerate(plan["links"]):
        names = [end["node"] for end in link["ends"]]
        if all(kinds[name] == "switch" for name in names):
            if any(_shaped(shape) for shape in link["shapes"]):
                raise NodeLacks(f"link {link['name']}: a link between switches is one LAN here, and cannot be shaped")
            continue
        members = segments[number]
        for end, name in enumerate(names):
            if kinds[name] == "switch":
                continue
            free = [port for port in manifest.between(name, members - {name}) if (name, port.client_id) not in taken]
            if not free:
                others = ", ".join(sorted(members - {name}))
                raise NodeLacks(f"link {link['name']}: no (further) interface of {name} is on a link with {others}")
            taken.add((name, free[0].client_id))
            both = kinds[names[1 - end]] == "switch"
            _add(parts[name], Cable(number, end, free[0], both, f"tb-wire-{number}", link["ends"][end]["mtu"]), link)
    for name, part in parts.items():
        part.plan["routes"] = [route for route in plan["routes"] if route["node"] == name]
        part.plan["rules"] = [rule for rule in plan["rules"] if rule["node"] == name]
    return parts


def _add(part: Part, cable: Cable, link: dict[str, Any]) -> None:
    """Add a cable and its bridge to the plan of a machine; the node's interface has the NIC's own address."""
    near = {**link["ends"][cable.end], "mac": cable.port.mac}
    last = len(part.cables)
    far = {
        "node": cable.wire,
        "iface": "eth0",
        "mac": f"02:fe:00:00:00:{last:02x}",
        "mtu": near["mtu"],
        "addresses": [],
    }
    part.cables.append(cable)
    part.plan["nodes"] = [*part.plan["nodes"], {"name": cable.wire, "kind": "switch", "sysctls": {}}]
    part.plan["links"] = [
        *part.plan["links"],
        {
            "name": link["name"],
            "ends": [near, far],
            "shapes": cable.shapes(link["shapes"]),
            "capture": link["capture"],
        },
    ]


def _segments(plan: dict[str, Any], kinds: dict[str, str]) -> list[set[str]]:
    """Give for each link the machines that one LAN must join: its ends, or all that its switches lead to."""
    ends = [{end["node"] for end in link["ends"]} for link in plan["links"]]
    found = []
    for first in ends:
        reached: set[str] = set()
        more = set(first)
        while more > reached:
            reached = set(more)
            met = {name for name in reached if kinds[name] == "switch"}
            more = reached.union(*(other for other in ends if other & met))
        found.append({name for name in reached if kinds[name] != "switch"})
    return found


def _shaped(shape: dict[str, Any]) -> bool:
    return any(shape[key] for key in CLEAN if key not in ("queue_packets", "seed"))
