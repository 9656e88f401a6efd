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
        link, source, target: The link and the nodes at its ends, in the direction of the frame; no target where its
            end was not captured.
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
    coming: dict[tuple[bytes, int], list[Frame]] = defaultdict(list)
    for frame in captures[there].frames if there is not None else ():
        if frame.sent is False:
            coming[_key(frame)].append(frame)
    leaving: dict[tuple[bytes, int], list[Frame]] = defaultdict(list)
    for frame in captures[here].frames:
        if frame.sent is not False:
            leaving[_key(frame)].append(frame)
    found = []
    for key, sent in leaving.items():
        pairs, strays = _pairs(sent, coming.pop(key, []), delay_ns)
        found += [Journey(link, source, target, frame.time_ns, at, frame, here) for frame, at in pairs]
        coming[key] = strays
    if there is not None:
        found += [
            Journey(link, source, target, None, frame.time_ns, frame, there)
            for strays in coming.values()
            for frame in strays
        ]
    return found


def _key(frame: Frame) -> tuple[bytes, int]:
    return frame.data[:_KEY_BYTES], frame.length


def _pairs(
    sent: list[Frame], received: list[Frame], delay_ns: int
) -> tuple[list[tuple[Frame, int | None]], list[Frame]]:
    """Say when each of some frames with the same bytes arrived, and which arrivals are left.

    As many as were sent arrive in order. Where one is missing, an arrival is that of the last frame that had the time.
    """
    if len(sent) == len(received) and all(a.time_ns <= b.time_ns for a, b in zip(sent, received, strict=True)):
        return [(frame, other.time_ns) for frame, other in zip(sent, received, strict=True)], []
    arrived: dict[int, int] = {}
    waiting = list(range(len(sent)))
    strays = []
    for frame in received:
        able = [index for index in waiting if sent[index].time_ns <= frame.time_ns]
        in_time = [index for index in able if sent[index].time_ns + delay_ns <= frame.time_ns]
        if not able:
            strays.append(frame)
            continue
        chosen = in_time[-1] if in_time else able[0]
        waiting.remove(chosen)
        arrived[chosen] = frame.time_ns
    return [(frame, arrived.get(index)) for index, frame in enumerate(sent)], strays


def delays(topology: Mapping[str, Any] | None) -> dict[tuple[str, str], int]:
    """Give the delay, in ns, of each direction of each link of a recorded topology, jitter taken off."""
    found = {}
    for link in (topology or {}).get("links", ()):
        shape = link["shape"]
        for node, direction in ((link["a"], shape), (link["b"], link["shape_back"] or shape)):
            found[str(link["name"]), str(node)] = round((direction["delay_ms"] - direction["jitter_ms"]) * 1e6)
    return found
