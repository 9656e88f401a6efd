# SPDX-License-Identifier: MIT
"""Where two executions diverged, as data for a page: both sides next to each other, with what was the same before."""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING, Any

from testbed.harness.determinism import compare, file_of
from testbed.harness.packets import frames
from testbed.reports.decode import decode
from testbed.reports.excerpt import text_of

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.harness.determinism import Difference
    from testbed.harness.packets import Frame
    from testbed.reports.bounds import Bounds

_BEFORE_FRAMES = 3
_BEFORE_BYTES, _AFTER_BYTES = 400, 240


def divergence(left: Path, right: Path, epoch_ns: int, bounds: Bounds) -> dict[str, Any]:
    """Compare the records of two executions for the page.

    Args:
        left: The folder of the one.
        right: The folder of the other.
        epoch_ns: What times of frames count from, ns since 1970.
        bounds: How much is shown.

    Returns:
        ``parts``: the first difference of each part that differs, the earliest first; ``left_out``: how many are not
        shown; ``left``, ``right``: names of the executions.
    """
    found = compare(left, right)
    shown = found[: bounds.differences]
    return {
        "left": f"execution {left.name}",
        "right": f"execution {right.name}",
        "parts": [_part(difference, (left, right), epoch_ns, bounds) for difference in shown],
        "left_out": len(found) - len(shown),
    }


def _part(difference: Difference, folders: tuple[Path, Path], epoch_ns: int, bounds: Bounds) -> dict[str, Any]:
    part: dict[str, Any] = {
        "kind": difference.kind,
        "title": difference.text().partition("\n")[0],
        "time": difference.time_ns,
        "before": [],
    }
    files = [file_of(difference, folder) for folder in folders]
    if difference.kind == "command" or not all(file.exists() for file in files):
        part["sides"] = [{"text": difference.left}, {"text": difference.right}]
    elif difference.kind == "packet":
        both = [_frames(file, difference.index) for file in files]
        part["before"] = [_line(frame, epoch_ns) for frame in both[0][0]]
        part["sides"] = [_frame(frame, epoch_ns, bounds) for _, frame in both]
    else:
        part["sides"] = [_bytes(file, difference.index) for file in files]
    return part


def _frames(path: Path, index: int) -> tuple[list[Frame], Frame | None]:
    """Give the frames before a number, and the one of that number."""
    start = max(0, index - _BEFORE_FRAMES)
    found = list(itertools.islice(frames(path), start, index + 1))
    before = index - start
    return found[:before], found[before] if len(found) > before else None


def _line(frame: Frame, epoch_ns: int) -> dict[str, Any]:
    return {"time": frame.time_ns - epoch_ns, "text": decode(frame.data).info}


def _frame(frame: Frame | None, epoch_ns: int, bounds: Bounds) -> dict[str, Any]:
    if frame is None:
        return {"text": "no more packets"}
    decoded = decode(frame.data)
    return {
        "time": frame.time_ns - epoch_ns,
        "length": frame.length,
        "info": decoded.info,
        "layers": decoded.layers,
        "bytes": base64.b64encode(frame.data[: 4 * bounds.packet_bytes]).decode(),
    }


def _bytes(path: Path, at: int) -> dict[str, Any]:
    """Give the bytes around an offset, in two texts: what is the same, and what is not."""
    with path.open("rb") as stream:
        start = max(0, at - _BEFORE_BYTES)
        stream.seek(start)
        data = stream.read(at - start + _AFTER_BYTES)
    before, after = data[: at - start], data[at - start :]
    return {"same": text_of(before), "other": text_of(after), "from": start, "ends": not after}
