# SPDX-License-Identifier: MIT
"""The packets of a record as journeys: each sent at one end of a link and, mostly, received at the other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.harness.packets import Frame, frames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.harness.records import CaptureRecord, Record

_KEY_BYTES = 128
"""Bytes by which both ends know a frame again: a capture is cut off to no less (``snaplen``)."""


@dataclass(frozen=True, slots=True)
class Journey:
    """One frame over one link.

    Args:
        link, source, target: The link and the nodes at its ends, in the direction of the frame.
        sent_ns: When it was sent, ns since 1970; None where it came without having been sent: the harness put it onto
            the wire, or the link doubled or damaged it.
        received_ns: When it arrived; None where it never did.
        frame: It, as it was sent.
        capture: Number of the capture that has it.
    """

    link: str
    source: str
    target: str
    sent_ns: int | None
    received_ns: int | None
    frame: Frame
    capture: int

    @property
    def time_ns(self) -> int:
        """When it was first seen."""
        return self.frame.time_ns


@dataclass(frozen=True)
class Capture:
    """One capture with all its frames.

    Args:
        record: What the record says of it.
        frames: In the order of the file.
    """

    record: CaptureRecord
    frames: list[Frame]


def read(folder: Path, record: Record) -> list[Capture]:
    """Read all captures of a record; a file that is gone has no frames."""
    return [Capture(capture, list(frames(folder / capture.file))) for capture in record.captures]


def journeys(captures: Sequence[Capture], delays_ns: Mapping[tuple[str, str], int]) -> list[Journey]:
    """Join what was sent with what was received, the earliest first.

    Args:
        captures: Those of one record.
        delays_ns: Delay of a link in the direction from a node; tells frames with the same bytes apart.
    """
    ends: dict[str, list[int]] = defaultdict(list)
    for index, capture in enumerate(captures):
        ends[capture.record.link].append(index)
    found: list[Journey] = []
    for link, both in ends.items():
        for here in both:
            there = next((index for index in both if index != here), None)
            source = captures[here].record.node
            found += _direction(captures, here, there, delays_ns.get((link, source), 0))
    found.sort(key=lambda journey: journey.time_ns)
    return found


def _direction(captures: Sequence[Capture], here: int, there: int | None, delay_ns: int) -> list[Journey]:
    """Join the frames of one direction of a link: sent in one capture, received in the other."""
    link, source = captures[here].record.link, captures[here].record.node
    target = captures[there].record.node if there is not None else ""
    waiting: dict[tuple[bytes, int], list[Frame]] = defaultdict(list)
    sent = [frame for frame in captures[here].frames if frame.sent]
    for frame in sent:
        waiting[frame.data[:_KEY_BYTES], frame.length].append(frame)
    arrived: dict[int, int] = {}
    strays = []
    for frame in captures[there].frames if there is not None else ():
        if frame.sent:
            continue
        candidates = waiting.get((frame.data[:_KEY_BYTES], frame.length))
        index = _sender(candidates, frame.time_ns, delay_ns) if candidates else None
        if candidates and index is not None:
            arrived[id(candidates.pop(index))] = frame.time_ns
        elif there is not None:
            strays.append(Journey(link, source, target, None, frame.time_ns, frame, there))
    return [
        Journey(link, source, target, frame.time_ns, arrived.get(id(frame)), frame, here) for frame in sent
    ] + strays


def _sender(candidates: list[Frame], received_ns: int, delay_ns: int) -> int | None:
    """Choose which of several frames with the same bytes has arrived: the last one that had the time to."""
    in_time = [index for index, frame in enumerate(candidates) if frame.time_ns + delay_ns <= received_ns]
    if in_time:
        return in_time[-1]
    return next((index for index, frame in enumerate(candidates) if frame.time_ns <= received_ns), None)


def delays(topology: Mapping[str, Any] | None) -> dict[tuple[str, str], int]:
    """Give the delay, in ns, of each direction of each link of a recorded topology, jitter taken off."""
    found = {}
    for link in (topology or {}).get("links", ()):
        shape = link["shape"]
        for node, direction in ((link["a"], shape), (link["b"], link["shape_back"] or shape)):
            found[str(link["name"]), str(node)] = round((direction["delay_ms"] - direction["jitter_ms"]) * 1e6)
    return found
