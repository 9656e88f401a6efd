# SPDX-License-Identifier: MIT
"""What a figure is, and how it is measured: the median of some runs, beside its peers of the same session."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.quiet import settle
from testbed.errors import CapabilityError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Sample:
    """One measurement with more than a number.

    Args:
        value: In the figure's unit.
        details: For JSON: such as the distribution that the value is the median of.
    """

    value: float
    details: Mapping[str, object]


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
        group: A name that stands for all figures of the group on the command line.
    """

    name: str
    what: str
    unit: str
    measure: Callable[[], float | Sample]
    at_most: float | None = None
    at_least: float | None = None
    peer: bool = False
    slow: bool = False
    once: bool = False
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure with its values, in the order of the runs; or why there are none: this machine cannot, or it failed."""

    figure: Figure
    values: tuple[float, ...] = ()
    details: tuple[Mapping[str, object], ...] = ()
    skipped: str = ""
    failed: str = ""

    @property
    def median(self) -> float | None:
        """The median of the runs; None where it was skipped."""
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """``ok``, ``MISSED``, ``FAILED``, ``skipped``, or nothing where there is no goal."""
        median, figure = self.median, self.figure
        if median is None:
            return "FAILED" if self.failed else "skipped"
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
            "details": list(self.details),
            "at_most": figure.at_most,
            "at_least": figure.at_least,
            "peer": figure.peer,
            "verdict": self.verdict,
            "skipped": self.skipped,
            "failed": self.failed,
        }


def take(figure: Figure, runs: int) -> Measured:
    """Measure a figure some times; the first run of more than one warms caches and does not count."""
    try:
        if figure.once or runs == 1:
            samples = [_quietly(figure)]
        else:
            figure.measure()
            samples = [_quietly(figure) for _ in range(runs)]
    except CapabilityError as error:
        return Measured(figure=figure, skipped=error.message.partition("\n")[0])
    except TestbedError as error:  # the others are measured all the same
        return Measured(figure=figure, failed=error.message.partition("\n")[0])
    details = tuple(sample.details for sample in samples if sample.details)
    return Measured(figure=figure, values=tuple(sample.value for sample in samples), details=details)


def _quietly(figure: Figure) -> Sample:
    """Measure once, when the run before has really ended."""
    settle()
    found = figure.measure()
    return found if isinstance(found, Sample) else Sample(found, {})
