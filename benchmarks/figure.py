# SPDX-License-Identifier: MIT
"""What a figure is, and how it is measured: the median of some runs, beside its peers of the same session."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.quiet import settle
from testbed.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One thing that is measured.

    Args:
        name: On the command line.
        what: One line for the table.
        unit: ``s``, ``MiB``, ``x`` (a ratio) or ``%``.
        measure: Measures once; raises CapabilityError where this machine cannot.
        at_most: The goal, in the unit; None where there is none.
        at_least: A goal from below.
        peer: Whether it is somebody else's figure, to compare with.
        slow: Measured only by name or with ``--all``.
        once: Measured once, whatever ``--runs`` says.
    """

    name: str
    what: str
    unit: str
    measure: Callable[[], float]
    at_most: float | None = None
    at_least: float | None = None
    peer: bool = False
    slow: bool = False
    once: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure with its values, in the order of the runs; or why there are none."""

    figure: Figure
    values: tuple[float, ...] = ()
    skipped: str = ""

    @property
    def median(self) -> float | None:
        """The median of the runs; None where it was skipped."""
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """``ok``, ``MISSED``, ``skipped``, or nothing where there is no goal."""
        median, figure = self.median, self.figure
        if median is None:
            return "skipped"
        if figure.at_most is None and figure.at_least is None:
            return ""
        low = figure.at_least is None or median >= figure.at_least
        high = figure.at_most is None or median <= figure.at_most
        return "ok" if low and high else "MISSED"

    def to_dict(self) -> dict[str, object]:
        """Give all of it for JSON."""
        figure = self.figure
        return {
            "name": figure.name,
            "what": figure.what,
            "unit": figure.unit,
            "median": self.median,
            "values": list(self.values),
            "at_most": figure.at_most,
            "at_least": figure.at_least,
            "peer": figure.peer,
            "verdict": self.verdict,
            "skipped": self.skipped,
        }


def take(figure: Figure, runs: int) -> Measured:
    """Measure a figure some times; the first run of more than one warms caches and does not count."""
    try:
        if figure.once or runs == 1:
            return Measured(figure=figure, values=(_quietly(figure),))
        figure.measure()
        return Measured(figure=figure, values=tuple(_quietly(figure) for _ in range(runs)))
    except CapabilityError as error:
        return Measured(figure=figure, skipped=error.message.partition("\n")[0])


def _quietly(figure: Figure) -> float:
    """Measure once, when the run before has really ended."""
    settle()
    return figure.measure()
