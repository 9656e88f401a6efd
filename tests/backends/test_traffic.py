# SPDX-License-Identifier: MIT
"""When an on-off source sends."""

from __future__ import annotations

import pytest

from testbed.backends.traffic import Tally, on_off
from testbed.errors import ConfigError


def slow(stop: float) -> list[float]:
    return on_off(rate_bps=800, packet_bytes=1024, start=4.0, stop=stop)


def test_packets_go_when_they_are_complete() -> None:
    assert slow(30.0) == [14.24, 24.48]
    assert slow(14.24) == [14.24]
    assert slow(14.2) == []


def test_what_is_begun_before_a_pause_is_completed_after_it() -> None:
    times = on_off(rate_bps=8, packet_bytes=3, start=0.0, stop=50.0, on=2.0, off=10.0)
    assert times == [13.0, 26.0, 49.0]


def test_a_time_between_two_nanoseconds_is_the_later_one() -> None:
    assert on_off(rate_bps=3_000_000_000, packet_bytes=1, start=0.0, stop=6e-9) == [3e-9, 6e-9]


@pytest.mark.parametrize("wrong", [{"rate_bps": 0}, {"packet_bytes": 0}, {"on": 0.0}, {"off": -1.0}, {"start": -1.0}])
def test_impossible_values_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="all positive"):
        on_off(**{"rate_bps": 8, "packet_bytes": 1, "start": 0.0, "stop": 9.0, **wrong})  # type: ignore[arg-type]


def test_too_many_packets_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most 1000000 packets"):
        on_off(rate_bps=8_000_000_000, packet_bytes=1, start=0.0, stop=1.0)


def test_a_tally_reads_the_agent_s_reply() -> None:
    reply = {"messages": 2, "bytes": 20, "first": 1_500_000_000, "last": None, "refused": 5, "left": 3}
    tally = Tally.from_reply({**reply, "connections": 1, "ended": 0, "errno": 111})
    assert (tally.first_s, tally.last_s, tally.left, tally.refused_bytes) == (1.5, None, 3, 5)
    assert str(tally) == "20 bytes in 2 messages, 5 bytes refused, Connection refused"
