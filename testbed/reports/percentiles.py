# SPDX-License-Identifier: MIT
"""Distributions of round trips drawn by their percentiles, the rare ones as wide as the common ones.

As HdrHistogram draws them: the x axis is log10(1 / (1 - q)), so that 90, 99 and 99.9 % are equally far apart, and the
y axis is logarithmic, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

WIDTH, HEIGHT = 1000, 330
LEFT, RIGHT, TOP, BOTTOM = 82, 14, 14, 42
KINDS = 4
"""Looks of a line, told apart without colour: marks and dashes."""
MOST_POINTS = 160
TABLE = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)
_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
_FINE = (1, 1.2, 1.5, 2, 3, 5, 7)
_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))


@dataclass(frozen=True)
class Series:
    """One distribution.

    Args:
        name: Of what.
        count: How many values it is of.
        points: Percentile (0 to 100) and the value that it has, in ns; ascending, the last one is 100.
    """

    name: str
    count: int
    points: tuple[tuple[float, float], ...]

    @classmethod
    def of_buckets(cls, name: str, buckets: Sequence[Sequence[int]]) -> Series:
        """Read a histogram: the upper end of each bucket in ns and its count, ascending."""
        total = sum(count for _, count in buckets)
        points, until = [(0.0, float(buckets[0][0]))], 0
        for upper_ns, count in buckets:
            until += count
            points.append((100 * until / total, float(upper_ns)))
        return cls(name, total, tuple(points))

    @classmethod
    def of_percentiles(cls, name: str, count: int, values_us: Mapping[str, float]) -> Series:
        """Read what a figure of ``testbed bench`` says: percentile to microseconds."""
        points = sorted((float(percent), 1000 * value) for percent, value in values_us.items())
        return cls(name, count, tuple(points))

    def value_ns(self, percent: float) -> float:
        """Give the value of a percentile: so many of all took no longer."""
        return next((value for at, value in self.points if at >= percent), self.points[-1][1])


def table(series: Iterable[Series]) -> list[tuple[str, int, list[str]]]:
    """Give name, count and the values of ``TABLE`` in words of each distribution."""
    return [(one.name, one.count, [in_words(one.value_ns(percent)) for percent in TABLE]) for one in series]


def plot(series: Sequence[Series], label: str) -> str:
    """Draw some distributions into one SVG, whose colours are those of ``percentiles.css``.

    Args:
        series: At least one, each with a value above 0.
        label: What it shows, for those who cannot see it.
    """
    most = max(one.count for one in series)
    values = [max(value, 1.0) for one in series for _, value in one.points]
    scales = _Scales(math.log10(2 * max(most, 5)), *_decades(min(values), max(values)))
    parts = [*_axes(scales), *(part for index, one in enumerate(series) for part in _line(one, index, scales))]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="percentiles" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return f"{head} aria-label={quoteattr(label)}>{''.join(parts)}</svg>"


def key(index: int) -> str:
    """Draw the look of a line, for a legend."""
    head = '<svg xmlns="http://www.w3.org/2000/svg" class="percentiles key" viewBox="0 0 34 12" aria-hidden="true">'
    return f'{head}<path class="line k{index % KINDS}" d="M1 6H33"/>{_mark(17, 6, index)}</svg>'


def in_words(value_ns: float) -> str:
    """Write a length of time with its unit: ``12.3 us``."""
    size, unit = next(((size, unit) for size, unit in _UNITS if value_ns >= size), _UNITS[-1])
    number = value_ns / size
    return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"


@dataclass(frozen=True)
class _Scales:
    """Where a percentile and a value are: ``widest`` is the end of the x axis, the others are powers of ten."""

    widest: float
    low: float
    high: float

    def x(self, share: float, count: int) -> float:
        """Give the place of a share of the values; the greatest of all is where all but half of one are below."""
        spread = math.log10(1 / max(1 - share, 0.5 / max(count, 1)))
        return round(LEFT + min(spread / self.widest, 1) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value_ns: float) -> float:
        """Give the place of a value."""
        part = (math.log10(max(value_ns, 1.0)) - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM), 1)


def _decades(least: float, greatest: float) -> tuple[float, float]:
    """Give the ends of the y axis: the nearest round numbers on both sides, never the same."""
    steps = [power + math.log10(step) for power in range(13) for step in _FINE]
    low = max((at for at in steps if at <= math.log10(least) + 1e-9), default=steps[0])
    high = min((at for at in steps if at >= math.log10(greatest) - 1e-9 and at > low), default=steps[-1])
    return low, high


def _axes(scales: _Scales) -> Iterator[str]:
    bottom, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    for share in _TICKS:
        if math.log10(1 / (1 - share)) <= scales.widest:
            x = scales.x(share, 10**9)
            yield f'<path class="axis" d="M{x} {bottom}V{TOP}"/>'
            yield f'<text class="tick" x="{x}" y="{HEIGHT - 22}" text-anchor="middle">{100 * share:.6g} %</text>'
    span = scales.high - scales.low
    steps: tuple[float, ...] = _FINE if span < 1 else (1, 2, 5) if span < 3 else (1,)
    for value in (step * 10**power for power in range(13) for step in steps):
        if scales.low - 1e-9 <= math.log10(value) <= scales.high + 1e-9:
            y = scales.y(value)
            yield f'<path class="axis" d="M{LEFT} {y}H{end}"/>'
            yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{in_words(value)}</text>'
    place = f'class="tick" x="{end}" y="{HEIGHT - 4}" text-anchor="end"'
    yield f"<text {place}>share of the round trips that took no longer</text>"


def _line(one: Series, index: int, scales: _Scales) -> Iterator[str]:
    """Draw the line of a distribution, with marks at the percentiles of the axis."""
    chosen = _thinned([(scales.x(percent / 100, one.count), scales.y(value)) for percent, value in one.points])
    path = "L".join(f"{x} {y}" for x, y in chosen)
    yield f'<path class="line k{index % KINDS}" d="M{path}"><title>{escape(one.name)}</title></path>'
    for share in (*_TICKS, 1.0):
        if share == 1.0 or one.count * (1 - share) >= 1:
            value = one.value_ns(100 * share)
            word = f"{one.name}: {100 * share:.6g} % within {in_words(value)}"
            yield _mark(scales.x(share, one.count), scales.y(value), index, word)


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out points that lie on another, and more where there are too many; the ends stay."""
    found = [point for at, point in enumerate(points) if at == 0 or point != points[at - 1]]
    step = max(1, math.ceil(len(found) / MOST_POINTS))
    return [*found[:-1:step], found[-1]]


def _mark(x: float, y: float, index: int, word: str = "") -> str:
    shape = ("m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "m-4 -4h8v8h-8z", "m0 -5l5 9h-10z", "m0 -5l5 5l-5 5l-5 -5z")
    title = f"<title>{escape(word)}</title>" if word else ""
    return f'<path class="mark k{index % KINDS}" d="M{x} {y}{shape[index % KINDS]}">{title}</path>'


def of_report(name: str, report: Mapping[str, Any]) -> Series | None:
    """Read what a workload says at its end; None where it measured no round trips."""
    buckets = (report.get("latency") or {}).get("buckets")
    return Series.of_buckets(name, buckets) if buckets else None
