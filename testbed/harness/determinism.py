# SPDX-License-Identifier: MIT
"""Where two executions of a case first differ: which command, which byte of which process, which packet."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.harness import digest
from testbed.harness.packets import Frame, frames
from testbed.harness.recorder import COMMANDS_FILE, KERNEL_FILE, seconds
from testbed.harness.records import Record

if TYPE_CHECKING:
    from pathlib import Path

AROUND_BYTES = 24


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
    """

    kind: str
    where: str
    time_ns: int
    index: int
    stream: str
    left: str
    right: str

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


def compare(left: Path, right: Path) -> list[Difference]:
    """Compare two executions by the folders of their records.

    Parts that the case leaves out are not looked at.

    Returns:
        The first difference of each part that differs, the earliest in the network's time first; empty where the
        digests agree.
    """
    one, two = Record.load(left), Record.load(right)
    if one.digest == two.digest:
        return []
    names = sorted((set(one.parts) | set(two.parts)) - set(one.left_out) - set(two.left_out))
    found = []
    for name in names:
        if one.parts.get(name) == two.parts.get(name):
            continue
        if name == digest.COMMANDS:
            found.append(_commands(left, right))
        elif name == digest.KERNEL:
            found.append(_kernel(left, right, max(one.end_ns, two.end_ns)))
        elif name.startswith(digest.PROCESS):
            found.append(_process(name, left, right, (one, two)))
        else:
            found.append(_capture(name, left, right, one.epoch_ns))
    order = {"process": 0, "packet": 1, "command": 2, "kernel": 3}
    return sorted(found, key=lambda difference: (difference.time_ns, order[difference.kind], difference.where))


def describe(differences: list[Difference], left: int = 1, right: int = 2) -> str:
    """Tell the first difference of all, and of each other kind its first."""
    kinds: dict[str, Difference] = {}
    for difference in differences:
        kinds.setdefault(difference.kind, difference)
    lines = [difference.text(str(left), str(right)) for difference in kinds.values()]
    more = len(differences) - len(kinds)
    if more > 0:
        lines.append(f"and {more} more of {len(differences)} parts differ")
    return "first difference: " + "\n".join(lines)


def _commands(left: Path, right: Path) -> Difference:
    one, two = _lines(left), _lines(right)
    for index, (a, b) in enumerate(itertools.zip_longest(one, two)):
        if a != b:
            times = [json.loads(line)["start_ns"] for line in (a, b) if line is not None]
            return Difference("command", digest.COMMANDS, min(times), index, "", _command(a), _command(b))
    return Difference("command", digest.COMMANDS, 0, len(one), "", "the same on disk", "the same on disk")


def _lines(folder: Path) -> list[str]:
    path = folder / COMMANDS_FILE
    return path.read_text().splitlines() if path.exists() else []


def _command(line: str | None) -> str:
    if line is None:
        return "no more commands"
    entry = json.loads(line)
    fields = json.dumps(entry["fields"], sort_keys=True)
    return f"{entry['name']} {fields} from {seconds(entry['start_ns'])} to {seconds(entry['end_ns'])} s"


def _process(name: str, left: Path, right: Path, records: tuple[Record, Record]) -> Difference:
    folder = "processes/" + name.removeprefix(digest.PROCESS)
    ends = [
        process.end_ns if process.end_ns is not None else process.start_ns
        for record in records
        for process in record.processes
        if process.folder == folder
    ]
    time_ns = min(ends, default=0)
    for stream in ("cmdline", "stdout", "stderr", "status"):
        one, two = _bytes(left / folder / stream), _bytes(right / folder / stream)
        if one is None or two is None:
            sides = ["there is no such process" if side is None else "it ran" for side in (one, two)]
            return Difference("process", name, time_ns, 0, stream, sides[0], sides[1])
        if one != two:
            at = first_difference(one, two)
            return Difference("process", name, time_ns, at, stream, _around(one, at), _around(two, at))
    return Difference("process", name, time_ns, 0, "status", "the same on disk", "the same on disk")


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


def _around(data: bytes, at: int) -> str:
    """Show the bytes around an offset, and mark it."""
    if at >= len(data):
        return f"ends here, after {_show(data[max(0, at - AROUND_BYTES) : at])}"
    before, after = data[max(0, at - AROUND_BYTES) : at], data[at : at + AROUND_BYTES]
    return f"{_show(before)} >>> {_show(after)}"


def _show(data: bytes) -> str:
    return repr(data)[1:]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _kernel(left: Path, right: Path, end_ns: int) -> Difference:
    """Compare what the kernels had to say, which was fetched at the end."""
    one, two = _bytes(left / KERNEL_FILE) or b"", _bytes(right / KERNEL_FILE) or b""
    at = first_difference(one, two)
    return Difference("kernel", digest.KERNEL, end_ns, at, "", _around(one, at), _around(two, at))


def _capture(name: str, left: Path, right: Path, epoch_ns: int) -> Difference:
    file = "captures/" + name.removeprefix(digest.CAPTURE) + ".pcapng"
    for index, (a, b) in enumerate(itertools.zip_longest(frames(left / file), frames(right / file))):
        if a != b:
            time_ns = min(side.time_ns for side in (a, b) if side is not None) - epoch_ns
            return Difference("packet", name, time_ns, index, "", _packet(a, epoch_ns), _packet(b, epoch_ns))
    return Difference("packet", name, 0, 0, "", "the same packets", "other bytes of the file")


def _packet(frame: Frame | None, epoch_ns: int) -> str:
    return "no more packets" if frame is None else frame.summary(epoch_ns)
