# SPDX-License-Identifier: MIT
"""What a link does to the frames of one direction."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from testbed.errors import ConfigError, near_misses

if TYPE_CHECKING:
    from collections.abc import Mapping


class ShapeParams(TypedDict, total=False):
    """The keywords of a :class:`Shape`, for functions that hand them through."""

    rate_bps: int | None
    delay_ms: float
    jitter_ms: float
    loss_ratio: float
    reorder_ratio: float
    duplicate_ratio: float
    corrupt_ratio: float
    queue_packets: int


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Rate, delay and faults of one direction of a link; the default is a clean wire of unlimited rate.

    Args:
        rate_bps: Bits per second, or None for no limit.
        delay_ms: One-way delay in milliseconds; fractions down to 1e-6 (a nanosecond) count.
        jitter_ms: Largest deviation from the delay, either way, evenly spread (as ``tc-netem(8)``).
        loss_ratio: Share of frames lost, 0 to 1.
        reorder_ratio: Share of frames that are sent at once, ahead of delayed ones, 0 to 1.
        duplicate_ratio: Share of frames that arrive twice, 0 to 1.
        corrupt_ratio: Share of frames that arrive with one flipped bit, 0 to 1.
        queue_packets: Frames that may wait in the link, those under way included.

    Raises:
        ConfigError: A value is outside its range, or is nothing without another one.
    """

    rate_bps: int | None = None
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_ratio: float = 0.0
    reorder_ratio: float = 0.0
    duplicate_ratio: float = 0.0
    corrupt_ratio: float = 0.0
    queue_packets: int = 1000

    def __post_init__(self) -> None:
        if self.rate_bps is not None:
            _whole("rate_bps", self.rate_bps, least=8, most=2**40, hint="bits per second, such as 10_000_000")
        _whole("queue_packets", self.queue_packets, least=1, most=2**24, hint="tc-netem(8) uses 1000")
        for name in ("delay_ms", "jitter_ms"):
            _number(name, getattr(self, name), most=3_600_000.0, hint="milliseconds, up to an hour")
        for name in ("loss_ratio", "reorder_ratio", "duplicate_ratio", "corrupt_ratio"):
            value = getattr(self, name)
            _number(name, value, most=1.0, hint=f"a ratio, not per cent: {value!r} % is {_ratio_text(value)}")
        if self.jitter_ms > self.delay_ms:
            raise ConfigError(
                f"jitter_ms must be at most delay_ms, not {self.jitter_ms!r} with delay_ms={self.delay_ms!r}",
                hint="a frame cannot arrive before it was sent; raise delay_ms",
            )
        if self.reorder_ratio and not self.delay_ms:
            raise ConfigError(
                f"reorder_ratio={self.reorder_ratio!r} needs a delay_ms: reordered frames overtake delayed ones",
                hint="set delay_ms as well",
            )

    @property
    def clean(self) -> bool:
        """Whether frames pass as if over a wire without limits."""
        return dataclasses.replace(self, queue_packets=1000) == Shape()

    def changed(self, **changes: object) -> Shape:
        """Give a copy with some values changed.

        Raises:
            ConfigError: A name is not one of a shape's, or the result is out of range.
        """
        return shape_from({**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, object]:
        """Give all values by name, for JSON."""
        return dataclasses.asdict(self)


SHAPE_FIELDS = tuple(field.name for field in dataclasses.fields(Shape))


def shape_from(given: Mapping[str, object]) -> Shape:
    """Make a shape of a mapping, as :meth:`Shape.to_dict` gives it or as a user wrote it.

    Raises:
        ConfigError: A name is not one of a shape's (near misses are named), or a value is out of range.
    """
    for name in given:
        if name not in SHAPE_FIELDS:
            raise ConfigError(f"a link has no {name!r}; {near_misses(str(name), SHAPE_FIELDS)}")
    return Shape(**given)  # type: ignore[arg-type]  # Shape checks each value


def _ratio_text(value: object) -> str:
    return f"{value / 100:g}" if isinstance(value, int | float) and math.isfinite(value) else "0.01"


def _number(name: str, value: object, *, most: float, hint: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ConfigError(f"{name} must be a number from 0 to {most:g}, not {value!r}", hint=hint)


def _whole(name: str, value: object, *, least: int, most: int, hint: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{name} must be a whole number from {least} to {most}, not {value!r}", hint=hint)
