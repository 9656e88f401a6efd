# SPDX-License-Identifier: MIT
"""A topology as text: boxes and lines for a terminal, and a table of its links."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

from testbed.errors import CapabilityError
from testbed.reports import words
from testbed.reports.canvas import Canvas
from testbed.reports.placement import Box, place
from testbed.scenarios import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.reports.placement import Placement, Point
    from testbed.scenarios.layout import Interface
    from testbed.scenarios.topology import Link, Topology

_CELL = 10.0  # points per character and per row
_ROOM = (2, 4, 7)  # characters between nodes; more is tried where lines would run over each other
_MOST_NODES = 120  # beyond it a drawing fills screens and says nothing
_ENDS_SHOWN = 2  # addresses per interface
Cell = tuple[int, int]


def text(topology: Topology, width: int) -> str:
    """Draw a topology with box characters, at most ``width`` characters wide, and list its links below.

    Hosts have thin borders, routers double, switches thick ones. A topology that is too large or too wide to be drawn
    is only listed, and the first line says so.

    Args:
        topology: What to draw.
        width: Columns of the terminal.
    """
    parts = [picture(topology, width), table(topology, width)]
    return "\n".join(part for part in parts if part)


def picture(topology: Topology, width: int) -> str:
    """Draw the boxes and lines alone."""
    if len(topology.nodes) > _MOST_NODES:
        return f"({len(topology.nodes)} nodes: too many for a drawing in a terminal; --svg FILE draws them)\n"
    best: tuple[tuple[int, int], str] | None = None
    trouble = ""
    for direction, splines, room in itertools.product(("LR", "TB"), ("ortho", "line"), _ROOM):
        if best is not None and not best[0][0] and splines == "line":
            continue  # straight lines, bent by us, are for what has no other drawing
        try:
            canvas = _canvas(topology, direction, splines, room)
        except CapabilityError as error:
            trouble = str(error)
            continue
        drawn = canvas.lines()
        rank = (canvas.collisions, len(drawn))
        if max(map(len, drawn)) <= width and (best is None or rank < best[0]):
            best = (rank, "\n".join(drawn))
    if best is not None:
        return best[1] + "\n"
    return f"(no drawing: {trouble or f'it needs more than {width} columns'}; --svg FILE makes one)\n"


def _canvas(topology: Topology, direction: str, splines: str, room: int) -> Canvas:
    ports = [Counter(link.ends[end] for link in topology.links) for end in (0, 1)]  # on one side each, mostly
    sizes = []
    for node in topology.nodes:
        busy = 2 * max(count[node.name] for count in ports) + 1
        width = max(len(node.name) + 4, busy if direction == "TB" else 0)
        sizes.append((width, max(3, busy if direction == "LR" else 0)))
    numbers = {node.name: number for number, node in enumerate(topology.nodes)}
    edges = [(numbers[link.a], numbers[link.b]) for link in topology.links]
    boxes = [Box(width=width * _CELL, height=height * _CELL) for width, height in sizes]
    gap = room * _CELL / 72
    between, along = (1.5 * gap, gap) if direction == "TB" else (0.5 * gap, 2 * gap)
    attributes: dict[str, str | float] = {
        "rankdir": direction,
        "splines": splines,
        "nodesep": between,
        "ranksep": along,
    }
    return _drawn(topology, sizes, place(boxes, edges, engine="dot", attributes=attributes))


def _drawn(topology: Topology, sizes: Sequence[tuple[int, int]], placed: Placement) -> Canvas:
    canvas = Canvas()
    numbers = {node.name: number for number, node in enumerate(topology.nodes)}
    corners = []
    for (width, height), (x, y) in zip(sizes, placed.centres, strict=True):
        corners.append((round(x / _CELL - width / 2), round(y / _CELL - height / 2)))
    for node, size, corner in zip(topology.nodes, sizes, corners, strict=True):
        canvas.box((corner, size), words.printable(node.name), node.kind)
    for link, curve in zip(topology.links, placed.curves, strict=True):
        a, b = numbers[link.a], numbers[link.b]
        canvas.wire([_cell(point) for point in curve[::3]], (corners[a], sizes[a]), (corners[b], sizes[b]))
    return canvas


def _cell(point: Point) -> Cell:
    return int(point[0] // _CELL), int(point[1] // _CELL)


def table(topology: Topology, width: int) -> str:
    """List the links with both ends and shape; one link takes more lines where ``width`` is too small for one."""
    if not topology.links:
        return ""
    found = layout.interfaces(topology)
    rows = []
    for index, link in enumerate(topology.links):
        rows.append([str(link.name), *(_end(end) for end in found[2 * index : 2 * index + 2]), _shape(link)])
    return columns([["LINK", "END", "END", "SHAPE"], *rows], width)


def columns(rows: Sequence[Sequence[str]], width: int) -> str:
    """Align cells in columns; rows that are wider than ``width`` go on in further lines, indented."""
    clean = [[words.printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in clean) for column in range(len(clean[0]))]
    if sum(widths) + 2 * (len(widths) - 1) <= width:
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in clean)
    return "\n".join("\n".join([row[0], *(f"    {cell}" for cell in row[1:] if cell)]) for row in clean[1:])


def _end(end: Interface) -> str:
    return " ".join([end.node, end.name, *end.addresses[:_ENDS_SHOWN]])


def _shape(link: Link) -> str:
    return words.shapes(*link.shapes) or "clean"
