# SPDX-License-Identifier: MIT
"""The first difference of two records for a reader: both sides decoded next to each other, and what led to it."""

from __future__ import annotations

import itertools
import json
import shlex
from collections import deque
from typing import TYPE_CHECKING, Any

from testbed.harness.determinism import command_lines, file_of
from testbed.harness.packets import Frame, frames
from testbed.harness.records import Record
from testbed.reports import frames as tables
from testbed.reports.decode import decode
from testbed.reports.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from testbed.harness.determinism import Difference

_WINDOW_BYTES = 1 << 14  # of a stream, before the byte that differs: where the lines that led to it are looked for
_AFTER_BYTES = 200
_CELL_CHARS = 60
_NS = 10**9


def evidence(found: Difference, left: Path, right: Path, *, context: int = 3) -> list[str]:
    """Show one difference.

    Args:
        found: What ``determinism.compare`` gave.
        left: Folder of the record A.
        right: Folder of the record B.
        context: How many frames, lines or commands before it are shown.

    Returns:
        Lines of text: what came before (the same on both sides), both sides, and a table of the fields that differ.
    """
    files = (file_of(found, left), file_of(found, right))
    if not all(file.exists() for file in files) and found.kind != "kernel":
        return [f"A: {found.left}", f"B: {found.right}"]
    if found.kind == "packet":
        return [*_packets(found, left, right, context), *_before(found, left)]
    if found.kind == "command":
        return _commands(found, left, right, context)
    return [*_streams(found, files, context), *_before(found, left)]


def _packets(found: Difference, left: Path, right: Path, context: int) -> Iterator[str]:
    """Show frames of one capture: those before from A, then both."""
    at = found.where.partition(":")[2]
    sides = []
    other = found.index if found.right_index is None else found.right_index
    for folder, index in ((left, found.index), (right, other)):
        epoch_ns = Record.load(folder).epoch_ns
        before, here = _until(frames(file_of(found, folder)), index, context)
        sides.append((before, here, epoch_ns))
    (before, one, epoch_ns), (_, two, other_epoch_ns) = sides
    for number, frame in enumerate(before, start=found.index - len(before)):
        yield f"   {_frame_line(number, frame, at, epoch_ns)}"
    yield f"A: {_frame_line(found.index, one, at, epoch_ns)}"
    yield f"B: {_frame_line(other, two, at, other_epoch_ns)}"
    if one is not None and two is not None:
        yield from _table(_frame_fields(one, epoch_ns), _frame_fields(two, other_epoch_ns))


def _until(source: Iterator[Frame], index: int, context: int) -> tuple[list[Frame], Frame | None]:
    """Give the frames right before a number, and the one of that number; what lies before is passed, not kept."""
    before: deque[Frame] = deque(itertools.islice(source, index), maxlen=context)
    return list(before), next(source, None)


def _frame_line(number: int, frame: Frame | None, at: str, epoch_ns: int) -> str:
    if frame is None:
        return f"{number:6}  no more packets"
    return f"{number:6}{tables.text(tables.row(frame, at, epoch_ns))}"


def _frame_fields(frame: Frame, epoch_ns: int) -> dict[str, str]:
    """Give all that can differ in a frame: its time, its length, each field of each layer, and its bytes."""
    fields = {"time": frame.clock(epoch_ns), "length": str(frame.length)}
    seen: dict[str, int] = {}
    for name, layer in decode(frame.data).layers:
        seen[name] = seen.get(name, 0) + 1
        prefix = name if seen[name] == 1 else f"{name}#{seen[name]}"
        fields |= {f"{prefix}.{key}": value for key, value in layer}
    return fields | {f"byte {offset}": f"{byte:02x}" for offset, byte in enumerate(frame.data)}


def _table(one: Mapping[str, str], two: Mapping[str, str]) -> Iterator[str]:
    """Show what differs, key by key; of bytes only the first that differs, and how many."""
    keys = [key for key in dict.fromkeys((*one, *two)) if one.get(key) != two.get(key)]
    bytes_ = [key for key in keys if key.startswith("byte ")]
    shown = [key for key in keys if not key.startswith("byte ")] + bytes_[:1]
    rows = [(key, _cell(one.get(key)), _cell(two.get(key))) for key in shown]
    if not rows:
        return
    widths = [max(len(row[column]) for row in [("", "A", "B"), *rows]) for column in range(3)]
    for row in [("", "A", "B"), *rows]:
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"      {cells}".rstrip()
    if len(bytes_) > 1:
        yield f"      and {len(bytes_) - 1} more bytes"


def _cell(value: str | None) -> str:
    if value is None:
        return "-"
    text = plain(value).replace("\n", "\\n")
    return text if len(text) <= _CELL_CHARS else f"{text[:_CELL_CHARS]}..."


def _commands(found: Difference, left: Path, right: Path, context: int) -> list[str]:
    """Show commands: those before from A, then both, then the fields that differ."""
    source, other = command_lines(left), command_lines(right)
    before = deque(itertools.islice(source, found.index), maxlen=context)
    one = next(source, None)
    two = next(itertools.islice(other, found.index, None), None)
    lines = [f"   {number:6}  {command(text)}" for number, text in enumerate(before, start=found.index - len(before))]
    lines += [f"A: {found.index:6}  {command(one)}", f"B: {found.index:6}  {command(two)}"]
    if one is not None and two is not None:
        lines += _table(_flat(json.loads(one)), _flat(json.loads(two)))
    return lines


def command(line: str | None) -> str:
    """Write a line of ``commands.jsonl`` shortly: times, what, where, with which words."""
    if line is None:
        return "no more commands"
    entry = json.loads(line)
    fields = dict(entry["fields"])
    words = [str(entry["name"])]
    if "node" in fields:
        words.append(str(fields["node"]))
    if "argv" in fields:
        words.append(shlex.join(map(str, fields["argv"])))
    else:
        words += [f"{key}={_json(value)}" for key, value in fields.items() if key not in {"node", "reply"}]
    if "error" in fields:
        words.append(f"-> {fields['error']}")
    times = f"{entry['start_ns'] / _NS:16.9f} to {entry['end_ns'] / _NS:.9f}"
    return f"{times}  {_cell_of_line(' '.join(words))}"


def _cell_of_line(text: str) -> str:
    flat = plain(text).replace("\n", "\\n")
    return flat if len(flat) <= 4 * _CELL_CHARS else f"{flat[: 4 * _CELL_CHARS]}..."


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True) if not isinstance(value, str) else value


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Give the leaves of plain data by their paths: ``fields.argv[1]``."""
    if isinstance(value, dict):
        parts = [_flat(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()]
    elif isinstance(value, list):
        parts = [_flat(item, f"{path}[{index}]") for index, item in enumerate(value)]
    else:
        return {path: _json(value)}
    return {key: text for part in parts for key, text in part.items()}


def _streams(found: Difference, files: Sequence[Path], context: int) -> Iterator[str]:
    """Show bytes of a stream: the lines before from A, then the line of both, and the byte."""
    heads, lines = [], []
    for file in files:
        head, line = _line_at(file, found.index)
        heads.append(head)
        lines.append(line)
    for text in heads[0][-context:] if context else ():
        yield f"   {_shown(text)}"
    for name, line in zip("AB", lines, strict=True):
        yield f"{name}: {_shown(line)}" if line else f"{name}: ends here"
    values = [_byte_at(file, found.index) for file in files]
    yield f"      byte {found.index}: {values[0]} / {values[1]}"


def _line_at(file: Path, offset: int) -> tuple[list[bytes], bytes]:
    """Give the lines before the one that holds an offset, and that one; of both only what lies near."""
    if not file.exists():
        return [], b""
    start = max(0, offset - _WINDOW_BYTES)
    with file.open("rb") as stream:
        stream.seek(start)
        data = stream.read(offset - start + _AFTER_BYTES)
    here = offset - start
    *before, begun = data[:here].split(b"\n")
    rest = data[here:].partition(b"\n")[0]
    return before, begun[-_AFTER_BYTES:] + rest if here < len(data) else b""


def _byte_at(file: Path, offset: int) -> str:
    if not file.exists():
        return "nothing"
    with file.open("rb") as stream:
        stream.seek(offset)
        byte = stream.read(1)
    return f"{byte.hex()} {byte!r}" if byte else "the end"


def _shown(data: bytes) -> str:
    return plain(data.decode("utf-8", "backslashreplace")).rstrip("\n")


def _before(found: Difference, left: Path) -> list[str]:
    """Name the command that was going on at a difference, else the last one before it."""
    last = None
    for line in command_lines(left):
        entry = json.loads(line)
        if entry["start_ns"] > found.time_ns:
            break
        last = line
        if entry["end_ns"] >= found.time_ns:
            break
    return [f"   during command {command(last).strip()}"] if last is not None else []
