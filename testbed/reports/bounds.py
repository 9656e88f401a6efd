# SPDX-License-Identifier: MIT
"""How much of a case goes into a page: what is left out is counted there, and stays in the run's folder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The most that a page holds of one case.

    Args:
        packets_first, packets_last: Packets of all captures together that are decoded.
        packet_bytes: Bytes of each that are shown in hexadecimal.
        stream_first_bytes, stream_last_bytes: Of each output of a process, and of each log.
        processes: Processes.
        commands: Commands.
        flows: Flows of TCP, and connections of MPTCP.
        flow_points: Points of each curve of a flow.
        differences: Parts of a record whose first difference is shown side by side.
    """

    packets_first: int
    packets_last: int
    packet_bytes: int
    stream_first_bytes: int
    stream_last_bytes: int
    processes: int
    commands: int
    flows: int
    flow_points: int
    differences: int = 6


GOOD = Bounds(
    packets_first=60,
    packets_last=20,
    packet_bytes=64,
    stream_first_bytes=1_500,
    stream_last_bytes=1_500,
    processes=100,
    commands=100,
    flows=4,
    flow_points=250,
)
"""Of a case that passed, or that is no reason to look."""

BAD = Bounds(
    packets_first=150,
    packets_last=250,
    packet_bytes=256,
    stream_first_bytes=16_384,
    stream_last_bytes=49_152,
    processes=500,
    commands=1_000,
    flows=12,
    flow_points=2_000,
)
"""Of a case that needs somebody's eyes."""
