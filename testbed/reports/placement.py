# SPDX-License-Identifier: MIT
"""Where the nodes of a drawing lie and how its links run: graphviz finds both."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from testbed.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Point = tuple[float, float]
Engine = Literal["dot", "neato", "sfdp"]

_POINTS_PER_INCH = 72
_PATIENCE_S = 60


@dataclass(frozen=True, kw_only=True)
class Box:
    """What is to be placed: the size of one node, in points.

    Args:
        width: Its width.
        height: Its height.
        round: Whether it is an ellipse; else a rectangle.
    """

    width: float
    height: float
    round: bool = False


@dataclass(frozen=True)
class Placement:
    """A finished layout, in points, y downwards, with its corner at (0, 0).

    Args:
        width: Of the whole.
        height: Of the whole.
        centres: Of each box, in the order given.
        curves: Of each edge, in the order given: control points of cubic Bezier curves, 1 + 3 n of them, from its
            first box to its second.
    """

    width: float
    height: float
    centres: list[Point]
    curves: list[list[Point]]


def place(
    boxes: Sequence[Box],
    edges: Sequence[tuple[int, int]],
    *,
    engine: Engine,
    attributes: Mapping[str, str | float],
    edge_attributes: Mapping[str, str | float] | None = None,
) -> Placement:
    """Have graphviz place boxes and route edges; the same input gives the same layout.

    Args:
        boxes: The nodes.
        edges: Indices of the two boxes that each edge joins.
        engine: Graphviz's layout engine; see its manual pages.
        attributes: Attributes of the graph (``rankdir``, ``splines``, ...).
        edge_attributes: Attributes of all edges (``len``, ...).

    Raises:
        CapabilityError: There is no graphviz, or it finds no layout.
    """
    lines = [f"graph {{ graph [{_list(attributes)}]; node [fixedsize=true]; edge [{_list(edge_attributes or {})}];"]
    for number, box in enumerate(boxes):
        size = {"width": box.width / _POINTS_PER_INCH, "height": box.height / _POINTS_PER_INCH}
        lines.append(f"n{number} [{_list({**size, 'shape': 'ellipse' if box.round else 'box'})}];")
    lines += [f"n{a} -- n{b} [id={number}];" for number, (a, b) in enumerate(edges)]
    return _placement(_run(engine, "\n".join([*lines, "}"])), len(boxes), len(edges))


def _list(attributes: Mapping[str, str | float]) -> str:
    return " ".join(f'{key}="{value}"' for key, value in attributes.items())


def _run(engine: Engine, text: str) -> dict[str, object]:
    try:
        done = subprocess.run(
            [engine, "-Tjson0"], input=text, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except FileNotFoundError as error:
        raise CapabilityError(f"drawing needs graphviz; there is no {engine}", hint="apt install graphviz") from error
    except subprocess.TimeoutExpired as error:
        raise CapabilityError(f"graphviz found no layout within {_PATIENCE_S} s: the topology is too large") from error
    if done.returncode:  # its orthogonal lines can fail an assertion of its own
        raise CapabilityError(f"graphviz found no layout: {engine} ended with {done.returncode}: {done.stderr.strip()}")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def _placement(found: dict[str, object], boxes: int, edges: int) -> Placement:
    _, _, width, height = (float(part) for part in str(found["bb"]).split(","))
    centres: list[Point] = [(0.0, 0.0)] * boxes
    curves: list[list[Point]] = [[] for _ in range(edges)]
    for entry in _entries(found, "objects"):
        (centres[int(entry["name"][1:])],) = _points(entry["pos"], height)
    for entry in _entries(found, "edges"):
        curves[int(entry["id"])] = _points(entry["pos"], height)
    # Graphviz may turn an edge that it had to reverse; from its first box to its second is what was promised.
    ends = {int(entry["id"]): (int(entry["tail"]), int(entry["head"])) for entry in _entries(found, "edges")}
    for number, curve in enumerate(curves):
        tail, head = (centres[index] for index in ends[number])
        if _distance(curve[0], tail) + _distance(curve[-1], head) > _distance(curve[0], head) + _distance(
            curve[-1], tail
        ):
            curve.reverse()
    return Placement(width, height, centres, curves)


def _entries(found: dict[str, object], name: str) -> list[dict[str, str]]:
    entries = found.get(name, [])
    return entries if isinstance(entries, list) else []


def _points(text: str, height: float) -> list[Point]:
    pairs = (pair.split(",") for pair in text.split())
    return [(float(x), height - float(y)) for x, y in pairs]


def _distance(one: Point, other: Point) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])
