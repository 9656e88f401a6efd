# SPDX-License-Identifier: MIT
"""Ours against the peer: blocks in turn, so that what disturbs the machine disturbs both."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figure import Sample
from benchmarks.libos.sides import converse
from benchmarks.quiet import settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.libos.sides import Party
    from benchmarks.libos.wire import Wire

BLOCKS = 3
WARM_UP = 0.1
"""This part of a block's rounds, at its start, does not count."""
PERCENTILES = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 100.0)


@dataclass(frozen=True)
class Block:
    """The round trips of one run of both sides, in ns, sorted; those at the start left out."""

    took_ns: tuple[int, ...]

    @staticmethod
    def of(took_ns: Sequence[int]) -> Block:
        """Leave the start out."""
        return Block(tuple(sorted(took_ns[int(len(took_ns) * WARM_UP) :])))

    @property
    def median_ns(self) -> float:
        """What the block counts for."""
        return statistics.median(self.took_ns)


def fight(ours: Party, peer: Party, wire: Wire | None) -> Sample:
    """Measure both in turn.

    Returns:
        Our median over the peer's: medians of the blocks' medians; with the distributions of both.
    """
    blocks: dict[str, list[Block]] = {"ours": [], "peer": []}
    for _ in range(BLOCKS):
        for name, party in (("ours", ours), ("peer", peer)):
            settle()
            blocks[name].append(Block.of(converse(party, wire)))
    ours_ns, peer_ns = (_median_ns(found) for found in blocks.values())
    return Sample(ours_ns / peer_ns, {name: distribution(found) for name, found in blocks.items()})


def alone(ours: Party, wire: Wire | None) -> Sample:
    """Measure ours only.

    Returns:
        The median of the blocks' medians, in us, with the distribution.
    """
    blocks = []
    for _ in range(BLOCKS):
        settle()
        blocks.append(Block.of(converse(ours, wire)))
    return Sample(_median_ns(blocks) / 1000, {"ours": distribution(blocks)})


def distribution(blocks: Sequence[Block]) -> dict[str, object]:
    """Give the percentiles of all rounds of some blocks, in us, and how many rounds these were."""
    every = sorted(took_ns for block in blocks for took_ns in block.took_ns)
    last = len(every) - 1
    return {
        "rounds": len(every),
        "percentiles_us": {f"{percent:g}": every[round(last * percent / 100)] / 1000 for percent in PERCENTILES},
    }


def _median_ns(blocks: Sequence[Block]) -> float:
    return statistics.median(block.median_ns for block in blocks)
