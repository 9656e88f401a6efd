# SPDX-License-Identifier: MIT
"""How the parts of a topology are written in drawings and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.scenarios.shape import Shape

_RATES = ((10**9, "Gbit/s"), (10**6, "Mbit/s"), (10**3, "kbit/s"), (1, "bit/s"))
_STANDARD_QUEUE = 1000


def rate(bits_per_s: int) -> str:
    """Write a rate: ``10 Mbit/s``."""
    unit, name = next(entry for entry in _RATES if bits_per_s >= entry[0])
    return f"{bits_per_s / unit:g} {name}"


def delay(milliseconds: float) -> str:
    """Write a delay with the unit that fits: ``10 ms``, ``250 us``, ``1 ns``."""
    for factor, unit in ((1e-3, "s"), (1, "ms"), (1e3, "us"), (1e6, "ns")):
        if milliseconds * factor >= 1:
            return f"{milliseconds * factor:g} {unit}"
    return "0 ms"


def shape(found: Shape) -> str:
    """Write what a link does to the frames of one direction; empty for a clean wire.

    Example: ``10 Mbit/s  10 ms ±2 ms  loss 0.01``. Ratios are 0 to 1, as everywhere.
    """
    parts = []
    if found.rate_bps is not None:
        parts.append(rate(found.rate_bps))
    if found.delay_ms:
        jitter = f" ±{delay(found.jitter_ms)}" if found.jitter_ms else ""
        parts.append(delay(found.delay_ms) + jitter)
    for word in ("loss", "reorder", "duplicate", "corrupt"):
        ratio = getattr(found, f"{word}_ratio")
        if ratio:
            parts.append(f"{word} {ratio:g}")
    if found.queue_packets != _STANDARD_QUEUE:
        parts.append(f"queue {found.queue_packets}")
    return "  ".join(parts)


def shapes(there: Shape, back: Shape) -> str:
    """Write both directions of a link: one text where they agree, else both with arrows."""
    if there == back:
        return shape(there)
    return f"→ {shape(there) or 'clean'}   ← {shape(back) or 'clean'}"


def printable(text: str) -> str:
    """Give a text that shows as text, whatever is in it: no control characters, no escapes."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
