# SPDX-License-Identifier: MIT
"""Scatter-gather arrays, small and big, from one side and from both: what is pushed is what comes, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.common.queues import LIMIT_S, carry, pattern

if TYPE_CHECKING:
    from suites.common.queues import Stream
    from testbed.backends.libos import LibOS

pytestmark = [pytest.mark.scenario("pair"), pytest.mark.flavors()]

SMALL, BIG = 64, 300_000
MANY = 1000


def test_allocations_have_the_size_that_was_asked_for(libos: LibOS) -> None:
    arrays = {}
    for size in (1, 2, 63, 64, 1460, 2048, 2049, 65536, 65537, 1 << 20, 16 << 20):
        sga, length = libos.sgaalloc(size)
        assert length == size
        arrays[sga] = size
    assert len(arrays) == 11
    for sga in arrays:
        libos.sgafree(sga)


def test_many_small_ones_live_at_once(libos: LibOS) -> None:
    arrays = [libos.sgaalloc(SMALL)[0] for _ in range(MANY // 10)]
    for sga in arrays[::2] + arrays[1::2]:
        libos.sgafree(sga)
    again, length = libos.sgaalloc(SMALL)
    assert length == SMALL
    libos.sgafree(again)


@pytest.mark.parametrize("source", ["libos", "heap"])
@pytest.mark.parametrize("sides", [1, 2], ids=["one side", "two sides"])
@pytest.mark.parametrize("size", [SMALL, BIG], ids=["small", "big"])
def test_pushed_bytes_arrive_whole(stream: Stream, size: int, sides: int, source: str) -> None:
    ways = [stream, stream.turned][:sides]
    data = [pattern(size, start) for start in range(sides)]
    assert carry(ways, data, source=source) == data


def test_message_after_message_arrives(stream: Stream) -> None:
    for number in range(8):
        for way in (stream, stream.turned):
            assert way.send(pattern(SMALL, number)) == pattern(SMALL, number)


def test_an_array_can_be_pushed_again_and_freed_while_it_is_pushed(stream: Stream) -> None:
    libos = stream.client
    sga, length = libos.sgaalloc(SMALL)
    assert length == SMALL
    first = libos.push(stream.out, pattern(SMALL), sga=sga)
    libos.wait(first, LIMIT_S)
    second = libos.push(stream.out, pattern(SMALL), sga=sga)
    libos.sgafree(sga)
    libos.wait(second, LIMIT_S)
    assert stream.take(2 * SMALL) == pattern(SMALL) * 2
