# SPDX-License-Identifier: MIT
"""From a topology to the plan that an agent brings up (``doc/internals.md``, section 4)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from testbed.scenarios import routing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.backends.base import BackendOptions
    from testbed.scenarios.layout import Interface
    from testbed.scenarios.shape import Shape
    from testbed.scenarios.topology import Link, Topology


def make_plan(
    topology: Topology,
    interfaces: Sequence[Interface],
    *,
    seed: int,
    options: BackendOptions,
    settle_ns: int,
) -> dict[str, Any]:
    """Make the plan of a topology.

    Args:
        topology: What to bring up.
        interfaces: Its interfaces, as :func:`testbed.scenarios.layout.interfaces` derives them.
        seed: Seed of the network; each direction of each link gets one of its own from it.
        options: Whether and how to capture.
        settle_ns: Nanoseconds from boot to the network's t = 0.
    """
    routes, rules = routing.derive(topology, interfaces)
    nodes = [{"name": node.name, "kind": node.kind, "sysctls": dict(node.sysctls)} for node in topology.nodes]
    capture = {"full_bytes": options.full_bytes, "snaplen": options.snaplen, "ring_bytes": options.ring_bytes}
    return {
        "nodes": nodes,
        "links": [
            _link(link, interfaces[2 * index : 2 * index + 2], seed=seed, capture=options.capture)
            for index, link in enumerate(topology.links)
        ],
        "routes": [
            {
                "node": route.node,
                "dst": route.dst,
                "via": route.via,
                "iface": route.iface,
                "metric": route.metric,
                "table": route.table,
                "src": route.src,
            }
            for route in routes
        ],
        "rules": [
            {
                "node": rule.node,
                "from": rule.from_prefix,
                "to": rule.to_prefix,
                "table": rule.table,
                "priority": rule.priority,
            }
            for rule in rules
        ],
        "capture": capture if options.capture else None,
        "settle": settle_ns,
    }


def shape_plan(shape: Shape, *, seed: int, link: str, end: int) -> dict[str, Any]:
    """Make the plan of one direction of a link: of what end ``end`` (0 or 1) sends."""
    return {
        "rate_bps": shape.rate_bps,
        "delay_ns": round(shape.delay_ms * 1e6),
        "jitter_ns": round(shape.jitter_ms * 1e6),
        "loss": float(shape.loss_ratio),
        "reorder": float(shape.reorder_ratio),
        "duplicate": float(shape.duplicate_ratio),
        "corrupt": float(shape.corrupt_ratio),
        "queue_packets": shape.queue_packets,
        "seed": direction_seed(seed, link, end),
    }


def direction_seed(seed: int, link: str, end: int) -> int:
    """Give the seed (63 bit) of one direction of a link: SHA-256 over network's seed, link's name and end."""
    digest = hashlib.sha256(f"{seed}\0{link}\0{end}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def _link(link: Link, ends: Sequence[Interface], *, seed: int, capture: bool) -> dict[str, Any]:
    name = str(link.name)
    return {
        "name": name,
        "ends": [
            {
                "node": end.node,
                "iface": end.name,
                "mac": end.mac,
                "mtu": end.mtu,
                "addresses": list(end.addresses),
            }
            for end in ends
        ],
        "shapes": [shape_plan(shape, seed=seed, link=name, end=end) for end, shape in enumerate(link.shapes)],
        "capture": capture,
    }
