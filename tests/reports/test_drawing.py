# SPDX-License-Identifier: MIT
"""Drawings show every node and link, stay inside their width, and take hostile names as text."""

from __future__ import annotations

import os
import xml.dom.minidom
from typing import TYPE_CHECKING

import pytest

from testbed.errors import CapabilityError
from testbed.reports import words
from testbed.reports.canvas import Canvas
from testbed.reports.drawing import svg, text
from testbed.reports.topology_text import picture
from testbed.scenarios.registry import scenario, scenarios
from testbed.scenarios.shape import Shape
from testbed.scenarios.topology import Link, Node, Topology

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [info.name for info in scenarios()]
MORE = [("lan", {"n": 12}), ("chain", {"n": 9}), ("dumbbell", {"n": 5}), ("tree", {"depth": 3}), ("ring", {"n": 7})]
EVERY = [*((name, {}) for name in NAMES), *MORE]
HOSTILE = '<b onload="x">&\x1b[2J\x00\u202e'


def ids(value: object) -> str:
    return str(value)


@pytest.mark.parametrize(("name", "params"), EVERY, ids=ids)
def test_svg_has_all_nodes_and_links(name: str, params: dict[str, object]) -> None:
    topology = scenario(name, **params)
    drawn = xml.dom.minidom.parseString(svg(topology))
    groups = drawn.getElementsByTagName("g")
    assert {g.getAttribute("data-node") for g in groups} - {""} == {node.name for node in topology.nodes}
    assert {g.getAttribute("data-link") for g in groups} - {""} == {link.name for link in topology.links}
    (root,) = drawn.getElementsByTagName("svg")
    width, height = (float(part) for part in root.getAttribute("viewBox").split()[2:])
    for group in groups:
        if group.getAttribute("data-node"):
            x, y = group.getAttribute("transform")[len("translate(") : -1].split()
            assert 0 < float(x) < width
            assert 0 < float(y) < height


def test_svg_has_addresses_interfaces_and_shapes_and_its_kinds_differ() -> None:
    found = svg(scenario("dumbbell", rate_bps=5_000_000, delay_ms=20, loss_ratio=0.01))
    for shown in (">5 Mbit/s · 20 ms · loss 0.01<", ">10.0.3.1<", ">eth2<", "tb-router", "tb-host", "fd00:3::1/64"):
        assert shown in found
    shapes = {kind: svg(Topology((Node("n", kind),))) for kind in ("host", "router", "switch")}
    assert ("<rect" in shapes["host"], "<ellipse" in shapes["router"], "<path" in shapes["switch"]) == (True,) * 3
    assert "http" not in found.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(("name", "params"), EVERY, ids=ids)
def test_text_has_all_nodes_and_links_in_its_width(name: str, params: dict[str, object]) -> None:
    topology = scenario(name, **params)
    found = text(topology, 100)
    assert max(map(len, found.splitlines())) <= 100
    drawn = picture(topology, 100)
    assert all(f" {node.name} " in drawn for node in topology.nodes)
    listed = found[len(drawn) :]
    assert all(f"{link.name}" in listed for link in topology.links)
    ends = sum(drawn.count(joint) for joint in "├┤┬┴╟╢╤╧┠┨┯┷")
    assert ends >= 2 * len(topology.links)  # where each line leaves a box; corners of lines may look like it


def test_a_drawing_is_what_it_was() -> None:
    assert picture(scenario("dumbbell"), 80) == (
        "┌────┐                        ┌────┐\n"
        "│ c1 ├─┐  ╔════╗    ╔════╗ ┌──┤ s1 │\n"
        "└────┘ └──╢    ║    ║    ╟─┘  └────┘\n"
        "          ║ r1 ╟────╢ r2 ║\n"
        "┌────┐ ┌──╢    ║    ║    ╟─┐  ┌────┐\n"
        "│ c2 ├─┘  ╚════╝    ╚════╝ └──┤ s2 │\n"
        "└────┘                        └────┘\n"
    )


def test_what_cannot_be_drawn_is_listed_and_says_so() -> None:
    large = text(scenario("lan", n=200), 80)
    assert large.startswith("(201 nodes: too many for a drawing in a terminal")
    assert "h200-s1" in large
    assert text(scenario("lan", n=3), 12).startswith("(no drawing: it needs more than 12 columns")


def test_large_topologies_are_drawn_as_svg() -> None:
    assert svg(scenario("lan", n=400)).count("data-node=") == 401


def test_hostile_names_are_text() -> None:
    node, other, link = Node("a"), Node("b"), Link("a", "b", name="l")
    for part, name in ((node, "name"), (link, "a"), (link, "name")):
        object.__setattr__(part, name, HOSTILE)  # what no constructor takes
    topology = Topology((node, other), (link,))
    drawn = svg(topology)
    xml.dom.minidom.parseString(drawn)
    assert "<b" not in drawn
    for found in (drawn, text(topology, 120)):
        assert not set(found) & {"\x1b", "\x00", "\u202e"}
    assert "<b onload=" in text(topology, 120)


def test_no_graphviz_is_said_and_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(CapabilityError, match="drawing needs graphviz; there is no dot") as found:
        svg(scenario("pair"))
    assert found.value.hint == "apt install graphviz"
    assert text(scenario("pair"), 100).startswith("(no drawing: drawing needs graphviz")


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        (Shape(), ""),
        (Shape(rate_bps=1_500_000_000, delay_ms=0.25), "1.5 Gbit/s  250 us"),
        (Shape(rate_bps=9600, delay_ms=1e-6), "9.6 kbit/s  1 ns"),
        (Shape(delay_ms=2000, jitter_ms=1, loss_ratio=0.5), "2 s ±1 ms  loss 0.5"),
        (Shape(delay_ms=1, reorder_ratio=0.1, duplicate_ratio=0.2, corrupt_ratio=0.3, queue_packets=5),
         "1 ms  reorder 0.1  duplicate 0.2  corrupt 0.3  queue 5"),
    ],
)  # fmt: skip
def test_shapes_in_words(shape: Shape, shown: str) -> None:
    assert words.shape(shape) == shown
    assert words.shapes(shape, shape) == shown


def test_both_directions_in_words() -> None:
    assert words.shapes(Shape(delay_ms=1), Shape()) == "→ 1 ms   ← clean"


def test_collisions_are_counted() -> None:
    boxes = (((0, 0), (6, 3)), ((20, 0), (6, 3)), ((0, 6), (6, 3)), ((20, 6), (6, 3)))

    def drawn(*wires: tuple[list[tuple[int, int]], int, int]) -> int:
        canvas = Canvas()
        for number, area in enumerate(boxes):
            canvas.box(area, f"n{number}", "host")
        for path, a, b in wires:
            canvas.wire(path, boxes[a], boxes[b])
        return canvas.collisions

    straight = ([(5, 1), (20, 1)], 0, 1)
    assert drawn(straight) == 0
    assert drawn(straight, ([(5, 7), (20, 7)], 2, 3)) == 0
    assert drawn(straight, straight) > 0  # one over the other
    down, up = [(5, 1), (12, 1), (12, 7), (20, 7)], [(5, 7), (12, 7), (12, 1), (20, 1)]
    assert drawn((down, 0, 3), (up, 2, 1)) > 0  # both run along one column
