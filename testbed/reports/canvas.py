# SPDX-License-Identifier: MIT
"""A canvas of characters: boxes, and lines between them that join, cross and turn."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.scenarios.topology import Kind

Cell = tuple[int, int]
Area = tuple[Cell, Cell]
"""Left column and top row of a box, and its width and height."""

_UP, _RIGHT, _DOWN, _LEFT = 1, 2, 4, 8
_LINES = " ╵╶└╷│┌├╴┘─┴┐┤┬┼"  # by the sum of the directions that a line leaves a cell in
# Corners (clockwise from top left), horizontal and vertical borders, and where a line leaves: up, right, down, left.
_BORDERS: dict[Kind, str] = {"host": "┌┐┘└─│┴├┬┤", "router": "╔╗╝╚═║╧╟╤╢", "switch": "┏┓┛┗━┃┷┠┯┨"}


class Canvas:
    """Grows as it is drawn on; lines are drawn after all boxes.

    ``collisions`` counts the cells in which two lines cannot be told apart, or one runs through a box.
    """

    def __init__(self) -> None:
        self.collisions = 0
        self._lines: dict[Cell, int] = {}
        self._text: dict[Cell, str] = {}
        self._kinds: dict[Cell, Kind] = {}

    def box(self, area: Area, name: str, kind: Kind) -> None:
        """Draw the box of a node with its name in the middle."""
        (left, top), (width, height) = area
        corners, horizontal, vertical = _BORDERS[kind][:4], _BORDERS[kind][4], _BORDERS[kind][5]
        right, bottom = left + width - 1, top + height - 1
        for column in range(left, right + 1):
            for row in range(top, bottom + 1):
                letter = horizontal if row in (top, bottom) else vertical if column in (left, right) else " "
                self._text[column, row] = letter
                self._kinds[column, row] = kind
        cells = ((left, top), (right, top), (right, bottom), (left, bottom))
        self._text.update(zip(cells, corners, strict=True))
        start = left + (width - len(name)) // 2
        for column, letter in enumerate(name, start):
            self._text[column, top + height // 2] = letter

    def wire(self, path: Sequence[Cell], first: Area, last: Area) -> None:
        """Draw a line from the border of one box to that of another.

        Args:
            path: Corners of a path that runs along rows and columns, near both borders at its ends.
            first: The box where it begins.
            last: The box where it ends.
        """
        corners = [path[0], *(cell for before, cell in itertools.pairwise(path) if cell != before)]
        if len(corners) == 1:
            corners.append(corners[0])
        corners = _docked(corners, first)
        corners = _docked(corners[::-1], last)[::-1]
        cells = _cells(corners)
        inside = [index for index, cell in enumerate(cells) if _within(cell, first)]
        begin = inside[-1] if inside else 0
        end = next((index for index in range(begin + 1, len(cells)) if _within(cells[index], last)), len(cells) - 1)
        self._draw(cells[begin : end + 1])

    def _draw(self, cells: Sequence[Cell]) -> None:
        if len(cells) < 2:  # boxes that touch
            self.collisions += 1
            return
        own: dict[Cell, int] = {}
        for before, after in itertools.pairwise(cells):
            out = _direction(before, after)
            own[before] = own.get(before, 0) | out
            own[after] = own.get(after, 0) | _opposite(out)
        for cell, directions in own.items():
            if cell in (cells[0], cells[-1]):
                self._leave(cell, directions)
                continue
            other = self._lines.get(cell, 0)
            crossing = {other, directions} == {_UP | _DOWN, _LEFT | _RIGHT}
            self.collisions += cell in self._text or (other != 0 and not crossing)
            self._lines[cell] = other | directions

    def _leave(self, cell: Cell, direction: int) -> None:
        """Mark on a box's border where a line leaves it."""
        if cell not in self._kinds:
            self.collisions += 1
            return
        joints = dict(zip((_UP, _RIGHT, _DOWN, _LEFT), _BORDERS[self._kinds[cell]][6:], strict=True))
        self.collisions += self._text[cell] in joints.values() or direction not in joints
        self._text[cell] = joints.get(direction, self._text[cell])

    def lines(self) -> list[str]:
        """Give the rows, without spaces at their ends."""
        cells = {**{cell: _LINES[directions] for cell, directions in self._lines.items()}, **self._text}
        left, right = min(column for column, _ in cells), max(column for column, _ in cells)
        top, bottom = min(row for _, row in cells), max(row for _, row in cells)
        rows = range(top, bottom + 1)
        return ["".join(cells.get((column, row), " ") for column in range(left, right + 1)).rstrip() for row in rows]


def _docked(corners: list[Cell], area: Area) -> list[Cell]:
    """Move the beginning of a path so that it leaves the box in the middle of a side, not at a corner or beside it."""
    (left, top), (width, height) = area
    (x, y), (next_x, next_y) = corners[:2]
    if x == next_x and not (y == next_y and _between(y, top, height)):  # it leaves upwards or downwards
        moved = min(max(x, left + 1), left + width - 2)
        edge = top if next_y < top + height // 2 else top + height - 1
        first = [(moved, edge)]
        rest = [(moved, next_y), *corners[2:]] if len(corners) > 2 else _jog((moved, edge), corners[1])
    else:
        moved = min(max(y, top + 1), top + height - 2)
        edge = left if next_x < left + width // 2 else left + width - 1
        first = [(edge, moved)]
        rest = [(next_x, moved), *corners[2:]] if len(corners) > 2 else _jog((edge, moved), corners[1])
    return first + rest


def _jog(start: Cell, end: Cell) -> list[Cell]:
    """Go on to the end in straight lines, with a step in the middle where they are not in line."""
    if start[0] == end[0] or start[1] == end[1]:
        return [end]
    if abs(start[0] - end[0]) > abs(start[1] - end[1]):
        middle = (start[0] + end[0]) // 2
        return [(middle, start[1]), (middle, end[1]), end]
    middle = (start[1] + end[1]) // 2
    return [(start[0], middle), (end[0], middle), end]


def _cells(corners: Sequence[Cell]) -> list[Cell]:
    """Give every cell of a path; what is not in line turns a corner."""
    cells = [corners[0]]
    for x, y in corners[1:]:
        while cells[-1] != (x, y):
            at_x, at_y = cells[-1]
            step = (at_x + (x > at_x) - (x < at_x), at_y) if at_x != x else (at_x, at_y + (y > at_y) - (y < at_y))
            cells.append(step)
    return cells


def _between(value: int, first: int, count: int) -> bool:
    return first < value < first + count - 1


def _within(cell: Cell, area: Area) -> bool:
    (left, top), (width, height) = area
    return left <= cell[0] < left + width and top <= cell[1] < top + height


def _direction(before: Cell, after: Cell) -> int:
    if before[0] != after[0]:
        return _RIGHT if after[0] > before[0] else _LEFT
    return _DOWN if after[1] > before[1] else _UP


def _opposite(direction: int) -> int:
    return {_UP: _DOWN, _DOWN: _UP, _LEFT: _RIGHT, _RIGHT: _LEFT}[direction]
