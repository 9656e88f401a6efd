# SPDX-License-Identifier: MIT
"""A network that has captured what a test says, for the parsers of the suites."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from testbed.backends.network import Network

TIME_S = 1.5


def captured(*packets: Any) -> Network:
    """Give a network whose links all have these frames, cut to 128 bytes as long captures are."""
    frames = [SimpleNamespace(time_ns=int(TIME_S * 1e9), data=bytes(packet)[:128]) for packet in packets]
    link = SimpleNamespace(frames=lambda _end: frames)
    return cast("Network", SimpleNamespace(link=lambda _name: link))
