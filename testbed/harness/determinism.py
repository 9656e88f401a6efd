# SPDX-License-Identifier: MIT
"""Where two executions of a case first differ: which command, which byte of which process, which packet."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from testbed.harness import digest
from testbed.harness.packets import Frame, frames
from testbed.harness.recorder import COMMANDS_FILE, KERNEL_FILE, seconds
from testbed.harness.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AROUND_BYTES = 24
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Difference:
    """The first difference of one kind.

    Args:
        kind: ``command``, ``process``, ``packet`` or ``kernel``.
        where: The part: ``commands``, ``kernel``, ``process:NNN-NODE-PROGRAM`` or ``capture:LINK.NODE``.
        time_ns: When it happened at the earlier side, ns of the network's clock.
        index: Number of the command or packet (from 0), or offset of the byte in its stream.
        stream: ``cmdline``, ``stdout``, ``stderr`` or ``status`` of a process; else empty.
        left, right: Both sides, in words.
        right_index: Number of the packet at the other side, where it is not ``index`` as frames were passed over.
    """

    kind: str
    where: str
    time_ns: int
    index: int
    stream: str
    left: str
    right: str
    right_index: int | None = None

    def text(self, left: str = "1", right: str = "2") -> str:
        """Tell the difference in three lines.

        Args:
            left: Number of the one execution.
            right: Number of the other.
        """
        at = f"t = {seconds(self.time_ns)} s"
        if self.kind == "process":
            name = self.where.removeprefix(digest.PROCESS)
            head = f"process {name}: {self.stream} differs at byte {self.index} (its end at {at})"
        elif self.kind == "packet":
            head = f"capture {self.where.removeprefix(digest.CAPTURE)}: packet {self.index} differs ({at})"
        elif self.kind == "kernel":
            head = f"the kernel's log differs at byte {self.index}"
        else:
            head = f"command {self.index} differs ({at})"
        return f"{head}\n  execution {left}: {self.left}\n  execution {right}: {self.right}"


def compare(left: Path, right: Path, *, times: bool = True, since_ns: int | None = None) -> list[Difference]:
    """Compare two executions by the folders of their records; streams and captures are read piece by piece.

    Parts that the case leaves out are not looked at.

    Args:
        left: The folder of the one.
        right: The folder of the other.
        times: Whether a difference in nothing but time is one: frames, commands, processes and the kernel's lines can
            be compared without their times, as between two kernels.
        since_ns: Frames before this time of the network's clock are passed over; None takes all.

    Returns:
        The first difference of each part that differs, the earliest in the network's time first; empty where the
        digests agree.

    Raises:
        ConfigError: A record or a capture cannot be read.
    """
    one, two = Record.load(left), Record.load(right)
    if one.digest == two.digest:
        return []
    names = sorted((set(one.parts) | set(two.parts)) - set(one.left_out) - set(two.left_out))
    sides = _Sides(left, right, one, two, times=times, since_ns=since_ns)
    found = []
    for name in names:
        if one.parts.get(name) == two.parts.get(name):
            continue
        difference = sides.part(name)
        if difference is not None:
            found.append(difference)
        elif times and since_ns is None:
            found.append(Difference(_kind(name), name, 0, 0, "", "the same on disk", "the same on disk"))
    order = {"process": 0, "packet": 1, "command": 2, "kernel": 3}
    return sorted(found, key=lambda difference: (difference.time_ns, order[difference.kind], difference.where))


def describe(differences: list[Difference], left: int | str = 1, right: int | str = 2) -> str:
    """Tell the first difference of all, and of each other kind its first."""
    kinds: dict[str, Difference] = {}
    for difference in differences:
        kinds.setdefault(difference.kind, difference)
    lines = [difference.text(str(left), str(right)) for difference in kinds.values()]
    more = len(differences) - len(kinds)
    if more > 0:
        lines.append(f"and {more} more of {len(differences)} parts differ")
    return "first difference: " + "\n".join(lines)


def file_of(found: Difference, folder: Path) -> Path:
    """Give the file of a record that a difference is in."""
    if found.kind == "process":
        return folder / "processes" / found.where.removeprefix(digest.PROCESS) / found.stream
    if found.kind == "packet":
        return folder / "captures" / f"{found.where.removeprefix(digest.CAPTURE)}.pcapng"
    return folder / (KERNEL_FILE if found.kind == "kernel" else COMMANDS_FILE)


def _kind(part: str) -> str:
    if part.startswith(digest.PROCESS):
        return "process"
    return {digest.COMMANDS: "command", digest.KERNEL: "kernel"}.get(part, "packet")


@dataclass(frozen=True)
class _Sides:
    """Two records, and how they are compared part by part."""

    left: Path
    right: Path
    one: Record
    two: Record
    times: bool
    since_ns: int | None

    def part(self, name: str) -> Difference | None:
        """Give the first difference of one part; None where its files say the same."""
        if name == digest.COMMANDS:
            return self._commands()
        if name == digest.KERNEL:
            return self._kernel()
        return self._process(name) if name.startswith(digest.PROCESS) else self._capture(name)

    def _commands(self) -> Difference | None:
        for index, (a, b) in enumerate(itertools.zip_longest(command_lines(self.left), command_lines(self.right))):
            if a != b and (self.times or _timeless(a) != _timeless(b)):
                begins = [json.loads(line)["start_ns"] for line in (a, b) if line is not None]
                return Difference("command", digest.COMMANDS, min(begins), index, "", command_text(a), command_text(b))
        return None

    def _process(self, name: str) -> Difference | None:
        folder = "processes/" + name.removeprefix(digest.PROCESS)
        ends = [
            process.end_ns if process.end_ns is not None else process.start_ns
            for record in (self.one, self.two)
            for process in record.processes
            if process.folder == folder
        ]
        time_ns = min(ends, default=0)
        for stream in ("cmdline", "stdout", "stderr", "status"):
            files = (self.left / folder / stream, self.right / folder / stream)
            lost = self._lost(name, files, "process")
            if lost is not None:
                return Difference("process", name, time_ns, 0, stream, *lost)
            if stream == "status" and not self.times:
                found = _first_of_text(*(_status_without_times(file) for file in files))
            else:
                found = _first_of_files(*files)
            if found is not None:
                return Difference("process", name, time_ns, found[0], stream, found[1], found[2])
        return None

    def _kernel(self) -> Difference | None:
        """Compare what the kernels had to say, which was fetched at the end."""
        files = (self.left / KERNEL_FILE, self.right / KERNEL_FILE)
        if self.times:
            found = _first_of_files(*files)
        else:
            found = _first_of_text(*(b"".join(_after_time(line) for line in _bytes_of(file)) for file in files))
        end_ns = max(self.one.end_ns, self.two.end_ns)
        return None if found is None else Difference("kernel", digest.KERNEL, end_ns, found[0], "", found[1], found[2])

    def _capture(self, name: str) -> Difference | None:
        file = "captures/" + name.removeprefix(digest.CAPTURE) + ".pcapng"
        files = (self.left / file, self.right / file)
        lost = self._lost(name, files, "capture")
        if lost is not None:
            return Difference("packet", name, 0, 0, "", *lost)
        epochs = (self.one.epoch_ns, self.two.epoch_ns)
        sides = (self._frames(path, epoch_ns) for path, epoch_ns in zip(files, epochs, strict=True))
        ends = [0, 0]  # how many frames each file has had
        for one, two in itertools.zip_longest(*sides, fillvalue=None):
            (here, a), (there, b) = one or (ends[0], None), two or (ends[1], None)
            ends = [here + 1, there + 1]
            if a == b:
                continue
            if not self.times and a is not None and b is not None and (a.data, a.length) == (b.data, b.length):
                continue
            seen = [side.time_ns - epoch for side, epoch in zip((a, b), epochs, strict=True) if side is not None]
            texts = (_packet(a, epochs[0]), _packet(b, epochs[1]))
            other = there if there != here else None
            return Difference("packet", name, min(seen), here, "", *texts, right_index=other)
        return None

    def _frames(self, path: Path, epoch_ns: int) -> Iterator[tuple[int, Frame]]:
        """Read a capture from the time on, with the number of each frame in its file."""
        for number, frame in enumerate(frames(path)):
            if self.since_ns is None or frame.time_ns - epoch_ns >= self.since_ns:
                yield number, frame

    def _lost(self, name: str, files: tuple[Path, Path], what: str) -> tuple[str, str] | None:
        """Say for both sides what is there of a part, where a file of one is not."""
        if all(file.exists() for file in files):
            return None
        found = []
        for file, record in zip(files, (self.one, self.two), strict=True):
            missing = f"there is no such {what}" if name not in record.parts else f"its file is gone: {file}"
            found.append("it is there" if file.exists() else missing)
        return found[0], found[1]


def is_named(part: str, pattern: str) -> bool:
    """Say whether a part of a record is what a name means, as a case leaves parts out (``digest.matching``)."""
    return bool(digest.matching(pattern, [part]))


def command_lines(folder: Path) -> Iterator[str]:
    """Read the lines of a record's ``commands.jsonl``, one by one."""
    path = folder / COMMANDS_FILE
    if path.exists():
        with path.open() as stream:
            yield from (line.rstrip("\n") for line in stream)


def _timeless(line: str | None) -> dict[str, Any] | None:
    """Give a command without its own times; those that it was asked with stay."""
    if line is None:
        return None
    return {key: value for key, value in json.loads(line).items() if key not in {"start_ns", "end_ns"}}


def command_text(line: str | None) -> str:
    """Write a line of ``commands.jsonl`` for a reader; None is the end of the file."""
    if line is None:
        return "no more commands"
    entry = json.loads(line)
    fields = json.dumps(entry["fields"], sort_keys=True)
    return f"{entry['name']} {fields} from {seconds(entry['start_ns'])} to {seconds(entry['end_ns'])} s"


def first_difference(left: bytes, right: bytes) -> int:
    """Give the offset of the first byte that differs; the shorter length where one starts with the other."""
    low, high = 0, min(len(left), len(right))
    while low < high:  # a bisection by slices: streams may be long
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _first_of_files(left: Path, right: Path) -> tuple[int, str, str] | None:
    """Give the offset of the first byte that differs in two files, and both sides around it; no file is empty."""
    with _open(left) as one, _open(right) as two:
        offset = 0
        while True:
            a, b = one.read(_CHUNK_BYTES), two.read(_CHUNK_BYTES)
            if a != b:
                at = offset + first_difference(a, b)
                return at, _around_in(one, at), _around_in(two, at)
            if not a:
                return None
            offset += len(a)


def _first_of_text(left: bytes, right: bytes) -> tuple[int, str, str] | None:
    if left == right:
        return None
    at = first_difference(left, right)
    return at, _around(left, at, 0), _around(right, at, 0)


def _open(path: Path) -> BinaryIO:
    return path.open("rb") if path.exists() else io.BytesIO()


def _around_in(stream: BinaryIO, at: int) -> str:
    start = max(0, at - AROUND_BYTES)
    stream.seek(start)
    return _around(stream.read(at - start + AROUND_BYTES), at, start)


def _around(data: bytes, at: int, start: int) -> str:
    """Show the bytes around an offset, and mark it; ``data`` begins at the offset ``start``."""
    here = at - start
    before, after = data[max(0, here - AROUND_BYTES) : here], data[here : here + AROUND_BYTES]
    return f"{_show(before)} >>> {_show(after)}" if after else f"ends here, after {_show(before)}"


def _show(data: bytes) -> str:
    return repr(data)[1:]


def _bytes_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def _status_without_times(path: Path) -> bytes:
    times = (b"start_s:", b"end_s:", b"duration_s:")
    return b"".join(line for line in _bytes_of(path) if not line.startswith(times))


def _after_time(line: bytes) -> bytes:
    """Give a line of the kernel's log without its first word, the time."""
    return line.partition(b" ")[2]


def _packet(frame: Frame | None, epoch_ns: int) -> str:
    return "no more packets" if frame is None else frame.summary(epoch_ns)
