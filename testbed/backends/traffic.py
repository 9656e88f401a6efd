# SPDX-License-Identifier: MIT
"""Traffic that a network makes by itself, without a program in a node: when sources send, and what sinks count."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NS = 1_000_000_000
MOST_PACKETS = 1_000_000
"""Of one source: their times travel in one request."""


@dataclass(frozen=True)
class Tally:
    """What a source sent or a sink received until now.

    Args:
        messages: Datagrams; of a stream, how many writes or reads.
        bytes: Bytes of payload (of a raw IPv4 socket that receives: with the IP header, ``raw(7)``).
        first_s: When the first of them went or came, in seconds of the network's clock; None is never yet.
        last_s: When the last of them did.
        refused_bytes: What the socket did not take when its time had come (full buffer, error); it is not sent again.
        left: Packets of the source whose time has not come.
        connections: Connections that the sink accepted.
        ended: Connections of the sink that ended.
        errno: The socket's last error, or None.
    """

    messages: int
    bytes: int
    first_s: float | None
    last_s: float | None
    refused_bytes: int
    left: int
    connections: int
    ended: int
    errno: int | None

    @classmethod
    def from_reply(cls, ok: Mapping[str, Any]) -> Tally:
        """Read the agent's reply."""
        first, last = (None if ok[name] is None else ok[name] / _NS for name in ("first", "last"))
        return cls(
            messages=ok["messages"],
            bytes=ok["bytes"],
            first_s=first,
            last_s=last,
            refused_bytes=ok["refused"],
            left=ok["left"],
            connections=ok["connections"],
            ended=ok["ended"],
            errno=ok["errno"],
        )

    def __str__(self) -> str:
        error = "" if self.errno is None else f", {os.strerror(self.errno)}"
        return f"{self.bytes} bytes in {self.messages} messages, {self.refused_bytes} bytes refused{error}"


def on_off(
    *, rate_bps: int, packet_bytes: int, start: float, stop: float, on: float = float("inf"), off: float = 0.0
) -> list[float]:
    """Give the times at which an on-off source sends.

    It is on and off by turns, from ``start``, and makes bits at a constant rate while it is on. A packet goes when it
    is complete, so the first one goes ``8 * packet_bytes / rate_bps`` seconds of being on after the start. What is
    begun when it goes off is completed when it is on again.

    Args:
        rate_bps: Bits of payload per second of being on.
        packet_bytes: Payload of a packet.
        start: Seconds of the network's clock.
        stop: When it ends; a packet that is complete at this time goes.
        on: Seconds of each period of being on.
        off: Seconds of each period of being off.

    Returns:
        Seconds of the network's clock, ascending, whole nanoseconds (rounded up).

    Raises:
        ConfigError: A value is out of range, or there are too many packets.
    """
    if rate_bps < 1 or packet_bytes < 1 or start < 0 or on <= 0 or off < 0:
        raise ConfigError(
            f"an on-off source needs a rate, a packet size and a time to be on, all positive, not {rate_bps=}, "
            f"{packet_bytes=}, {start=}, {on=}, {off=}"
        )
    times = list(itertools.takewhile(lambda time: time <= stop, _complete(rate_bps, packet_bytes, start, on, off)))
    if len(times) > MOST_PACKETS:
        raise ConfigError(f"a source sends at most {MOST_PACKETS} packets, not {len(times)}", hint="stop it earlier")
    return times


def _complete(rate_bps: int, packet_bytes: int, start: float, on: float, off: float) -> Iterator[float]:
    """Give the times at which packets are complete, one more than a source may have."""
    start_ns, off_ns = round(start * _NS), round(off * _NS)
    on_ns = None if on == float("inf") else round(on * _NS)
    for number in range(1, MOST_PACKETS + 2):
        talked = Fraction(number * packet_bytes * 8 * _NS, rate_bps)
        whole = -(-talked.numerator // talked.denominator)
        # A packet that is complete when the source goes off belongs to the period that ends there.
        periods = 0 if on_ns is None else (whole - 1) // on_ns
        yield (start_ns + whole + periods * off_ns) / _NS
