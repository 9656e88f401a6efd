# SPDX-License-Identifier: MIT
"""A topology as SVG: one picture for dark and light pages.

Colours are CSS variables that a page may set (``--tb-ink``, ``--tb-paper``, ``--tb-host``, ``--tb-router``,
``--tb-switch``); every node and link has its name in ``data-node`` and ``data-link``.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.reports import words
from testbed.reports.placement import Box, Placement, place
from testbed.scenarios import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

    from testbed.reports.placement import Point
    from testbed.scenarios.layout import Interface
    from testbed.scenarios.topology import Link, Node, Topology

_MARGIN = 14.0
_LEGEND_HEIGHT = 26.0
_LEGEND_STEP = 84.0
_NODE_HEIGHT = 36.0
_LETTER = 7.5  # width of a letter of a node's name
_END_GAP = 5.0
_MOST_GAP = 90.0
_LABELS_HIGH = 34.0  # the labels above and below a line
_SMALL_LETTER = 6.2  # width of a letter of a label
_IFACE_ROOM = 150.0
_WIRE, _MOST_WIRE = 240.0, 480.0  # length of a link that has room for its labels
_MESHED = 2  # links beyond one per node from which layers are no longer readable
_LABELLED_LINKS = 60  # above it labels would hide the picture; they stay in the tooltips
_LARGE = 250  # nodes above which only a multi-level engine ends soon


@dataclass(frozen=True)
class _Text:
    """A label at a link: its class, words, place (pixels), angle (degrees) and distance from the line (below is +)."""

    kind: str
    text: str
    x: float
    y: float
    angle: float
    dy: float


def svg(topology: Topology) -> str:
    """Draw a topology as one ``<svg>`` element, to be put into a page or a file.

    Names, shapes and addresses of all links are in tooltips, too; beyond 60 links only there.

    Raises:
        CapabilityError: There is no graphviz.
    """
    boxes = [_box(node) for node in topology.nodes]
    placed = _place(topology, boxes)
    ends = _ends(topology)
    gaps = _gaps(topology, placed.curves)
    labelled = len(topology.links) <= _LABELLED_LINKS
    kinds = [kind for kind in ("host", "router", "switch") if any(node.kind == kind for node in topology.nodes)]
    width = max(placed.width, _LEGEND_STEP * len(kinds)) + 2 * _MARGIN
    height = placed.height + 2 * _MARGIN + _LEGEND_HEIGHT
    return _template().render(
        label=f"Topology of {len(topology.nodes)} nodes and {len(topology.links)} links",
        width=round(width),
        height=round(height),
        links=[
            _link(link, curve, ends[index], gaps=gaps[index] if labelled else None)
            for index, (link, curve) in enumerate(zip(topology.links, placed.curves, strict=True))
        ],
        nodes=[
            {
                "name": words.printable(node.name),
                "kind": node.kind,
                "title": _node_title(node, topology, ends),
                "x": round(x + _MARGIN, 1),
                "y": round(y + _MARGIN, 1),
                "width": box.width,
                "height": box.height,
            }
            for node, box, (x, y) in zip(topology.nodes, boxes, placed.centres, strict=True)
        ],
        legend=[
            {"kind": kind, "x": _MARGIN + 14 + number * _LEGEND_STEP, "y": round(height) - _MARGIN}
            for number, kind in enumerate(kinds)
        ],
    )


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader  # noqa: PLC0415  # a command that draws nothing need not wait for it

    loader = PackageLoader("testbed.reports")
    made = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return made.get_template("topology.svg.j2")


def _box(node: Node) -> Box:
    width = max(56.0, len(node.name) * _LETTER + 26)
    return Box(width=width, height=_NODE_HEIGHT, round=node.kind == "router")


def _place(topology: Topology, boxes: Sequence[Box]) -> Placement:
    """Choose the engine: what reads from left to right is drawn in layers, rings and meshes by springs."""
    numbers = {node.name: number for number, node in enumerate(topology.nodes)}
    edges = [(numbers[link.a], numbers[link.b]) for link in topology.links]
    if len(boxes) > _LARGE:
        return place(boxes, edges, engine="sfdp", attributes={"overlap": "prism", "start": 1, "splines": "line"})
    longest = max((len(words.shapes(*link.shapes)) for link in topology.links), default=0)
    wire = min(max(_WIRE, longest * _SMALL_LETTER + _IFACE_ROOM), _MOST_WIRE) if len(edges) <= _LABELLED_LINKS else 60
    if len(edges) - len(boxes) < _MESHED and _is_acyclic(len(boxes), edges):
        wanted: dict[str, str | float] = {"rankdir": "LR", "ranksep": wire / 72, "nodesep": 1.1, "splines": "true"}
        return place(boxes, edges, engine="dot", attributes=wanted)
    spread: dict[str, str | float] = {"start": "regular", "splines": "true"}
    return place(boxes, edges, engine="neato", attributes=spread, edge_attributes={"len": wire / 72 + 1})


def _is_acyclic(nodes: int, edges: Sequence[tuple[int, int]]) -> bool:
    """Say whether links never lead back to where they began, when each is followed from its first end."""
    below: list[list[int]] = [[] for _ in range(nodes)]
    entering = [0] * nodes
    for a, b in edges:
        below[a].append(b)
        entering[b] += 1
    free = [node for node in range(nodes) if not entering[node]]
    for node in free:  # grows while we go
        for other in below[node]:
            entering[other] -= 1
            if not entering[other]:
                free.append(other)
    return len(free) == nodes


def _ends(topology: Topology) -> list[tuple[Interface, Interface]]:
    """Give the interfaces of each link, end 0 first."""
    found = layout.interfaces(topology)
    return list(zip(found[::2], found[1::2], strict=True))


def _gaps(topology: Topology, curves: Sequence[list[Point]]) -> list[tuple[float, float]]:
    """Give how far the labels of both ends of each link stay from their nodes: clear of the nearest other link."""
    directions: dict[str, list[float]] = {node.name: [] for node in topology.nodes}
    outward = []
    for link, curve in zip(topology.links, curves, strict=True):
        ends = [math.atan2(b[1] - a[1], b[0] - a[0]) for a, b in ((curve[0], curve[-1]), (curve[-1], curve[0]))]
        outward.append(ends)
        for node, angle in zip(link.ends, ends, strict=True):
            directions[node].append(angle)
    return [
        (_gap(ends[0], directions[link.a]), _gap(ends[1], directions[link.b]))
        for link, ends in zip(topology.links, outward, strict=True)
    ]


def _gap(own: float, all_of_node: Sequence[float]) -> float:
    apart = [abs(math.remainder(own - other, math.tau)) for other in all_of_node]
    apart.remove(0.0)  # itself
    nearest = min([*apart, math.pi])
    clear = _LABELS_HIGH / (2 * math.sin(nearest / 2)) if nearest else math.inf
    return min(max(_END_GAP, clear - _NODE_HEIGHT / 2), _MOST_GAP)


def _link(
    link: Link, curve: list[Point], ends: tuple[Interface, Interface], *, gaps: tuple[float, float] | None
) -> dict[str, object]:
    """Give what the template needs of a link; without gaps it has no labels."""
    shifted = [(round(x + _MARGIN, 1), round(y + _MARGIN, 1)) for x, y in curve]
    start, *rest = shifted
    path = f"M{start[0]} {start[1]}C" + " ".join(f"{x} {y}" for x, y in rest)
    shape = words.shapes(*link.shapes)
    details = [str(link.name), shape or "clean", *(_interface_text(end) for end in ends)]
    texts = []
    if gaps is not None:
        free = (gaps[0] - gaps[1]) / 2  # from the middle to the middle between the ends' labels
        texts = [_text("tb-shape", shape.replace("  ", " · "), shifted, at=0.5, dy=-9.0, gap=free)]
        for end, at, anchor, gap in ((ends[0], 0.0, "tb-first", gaps[0]), (ends[1], 1.0, "tb-last", -gaps[1])):
            address = end.address(4) or end.address(6) or ""
            texts.append(_text("tb-iface", end.name, shifted, at=at, dy=-8.0, anchor=anchor, gap=gap))
            texts.append(_text("tb-address", address, shifted, at=at, dy=8.0, anchor=anchor, gap=gap))
    return {
        "name": words.printable(str(link.name)),
        "title": words.printable(" | ".join(details)),
        "path": path,
        "texts": [text for text in texts if text.text],
    }


def _interface_text(end: Interface) -> str:
    return " ".join([end.node, end.name, *end.addresses, end.mac, f"mtu {end.mtu}"])


def _node_title(node: Node, topology: Topology, ends: Sequence[tuple[Interface, Interface]]) -> str:
    own = [end for pair in ends for end in pair if end.node == node.name]
    shown = [f"{end.name} ({topology.links[end.link].name}) {' '.join(end.addresses)}".strip() for end in own]
    return words.printable(" | ".join([f"{node.kind} {node.name}", *shown]))


def _text(
    kind: str, text: str, curve: list[Point], *, at: float, dy: float, anchor: str = "", gap: float = 0.0
) -> _Text:
    """Put a label at a share of a curve's length, along the curve and never upside down."""
    x, y, dx_, dy_ = _along(curve, at)
    angle = math.degrees(math.atan2(dy_, dx_))
    x, y = x + gap * math.cos(math.radians(angle)), y + gap * math.sin(math.radians(angle))
    if not -90 < round(angle, 3) <= 90:
        angle -= math.copysign(180, angle)
        anchor = {"tb-first": "tb-last", "tb-last": "tb-first"}.get(anchor, anchor)
        text = text.translate({0x2192: "←", 0x2190: "→"})  # the arrows turn with the text
    return _Text(f"{kind} {anchor}".strip(), words.printable(text), round(x, 1), round(y, 1), round(angle, 1), dy)


def _along(curve: list[Point], at: float) -> tuple[float, float, float, float]:
    """Give the point at a share (0 to 1) of a curve and the direction of its chord there."""
    pieces = (len(curve) - 1) // 3
    piece = min(int(at * pieces), pieces - 1)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = curve[3 * piece : 3 * piece + 4]
    t = at * pieces - piece
    u = 1 - t
    x = u**3 * x0 + 3 * u * u * t * x1 + 3 * u * t * t * x2 + t**3 * x3
    y = u**3 * y0 + 3 * u * u * t * y1 + 3 * u * t * t * y2 + t**3 * y3
    return x, y, x3 - x0, y3 - y0
