# SPDX-License-Identifier: MIT
"""Each impairment of a link does what its name says, in the direction it was given for, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Up

pytestmark = pytest.mark.guest

COUNT = 200
STEP_S = 0.001
HEADER = b"\x02" + bytes(4) + b"\x02" + b"\x02" + bytes(4) + b"\x01" + b"\x88\xb5"  # an experimental EtherType


def numbered(up: Up, *, at_once: bool = False, **shape: Any) -> tuple[list[bytes], list[tuple[int, bytes]]]:
    """Send numbered frames over a pair; what h1 sent, and what came to h2, with its time in ns."""
    network = up("pair", **shape)
    frames = [HEADER + number.to_bytes(2) + bytes(200) for number in range(COUNT)]
    step = 0.0 if at_once else STEP_S
    network.inject([(1 + number * step, "h1-h2", "h1", "from", frame) for number, frame in enumerate(frames)])
    network.sleep_until(10)
    sent, came = (
        [(frame.time_ns, frame.data) for frame in network.link("h1-h2").frames(end) if frame.data[12:14] == b"\x88\xb5"]
        for end in ("h1", "h2")
    )
    assert [data for _, data in sent] == frames, "impairments come after the frame was sent"
    return frames, came


def numbers(came: list[tuple[int, bytes]]) -> list[int]:
    return [int.from_bytes(data[14:16]) for _, data in came]


def test_no_impairment_changes_nothing(up: Up) -> None:
    frames, came = numbered(up)
    assert [data for _, data in came] == frames


def test_loss_takes_about_its_share(up: Up) -> None:
    _, came = numbered(up, loss_ratio=0.3)
    assert 0.55 * COUNT < len(came) < 0.85 * COUNT
    assert numbers(came) == sorted(set(numbers(came)))


def test_duplication_doubles_about_its_share(up: Up) -> None:
    _, came = numbered(up, duplicate_ratio=0.3)
    assert 1.15 * COUNT < len(came) < 1.45 * COUNT
    assert set(numbers(came)) == set(range(COUNT))


def test_corruption_flips_one_bit_of_about_its_share(up: Up) -> None:
    frames, came = numbered(up, corrupt_ratio=0.3)
    assert len(came) >= 0.9 * COUNT, "a frame whose EtherType was hit is not counted"
    flipped = [
        (int.from_bytes(data) ^ int.from_bytes(frames[number])).bit_count()
        for (_, data), number in zip(came, numbers(came), strict=True)
        if number < COUNT
    ]
    once = flipped.count(1)  # a frame whose number was hit differs by more from the one that it claims to be
    assert flipped.count(0) + once >= 0.95 * len(flipped)
    assert 0.15 * COUNT < once < 0.45 * COUNT


def test_reordering_lets_some_overtake(up: Up) -> None:
    _, came = numbered(up, delay_ms=20, reorder_ratio=0.2)
    order = numbers(came)
    assert sorted(order) == list(range(COUNT))
    overtaking = sum(later < earlier for earlier, later in pairwise(order))
    assert 0.05 * COUNT < overtaking < 0.4 * COUNT


def test_jitter_spreads_the_delay_around_its_middle(up: Up) -> None:
    _, came = numbered(up, delay_ms=20, jitter_ms=5)
    delays = [at - round((1 + number * STEP_S) * 1e9) for (at, _), number in zip(came, numbers(came), strict=True)]
    assert len(came) == COUNT
    assert 14e6 < min(delays) < 18e6
    assert 22e6 < max(delays) < 27e6


def test_a_short_queue_drops_what_comes_at_once(up: Up) -> None:
    _, came = numbered(up, at_once=True, rate_bps=1_000_000, queue_packets=10)
    assert 10 <= len(came) <= 12
    times = [at for at, _ in came]
    bits = 8 * (len(HEADER) + 202)
    assert all(later - earlier == pytest.approx(bits * 1000, rel=0.01) for earlier, later in pairwise(times))
