# SPDX-License-Identifier: MIT
"""The recorder of one execution: what a backend tells it is on disk before it returns."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed.errors import InternalError, TestbedError
from testbed.harness import digest, kernlog
from testbed.harness.records import CaptureRecord, ProcessRecord, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from testbed.scenarios.topology import Topology

COMMANDS_FILE = "commands.jsonl"
KERNEL_FILE = "kernel.log"
TOPOLOGY_FILE = "topology.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._+@-]")
_STREAMS = {1: "stdout", 2: "stderr"}


class RecordingFailed(TestbedError):  # noqa: N818 (a verdict's word, as GuestCrashed)
    """A record cannot be written; nothing that was already written is lost."""


@dataclass
class _Stream:
    bytes: int = 0
    sha: Any = field(default_factory=hashlib.sha256)


@dataclass
class _Process:
    folder: str
    node: str
    argv: list[str]
    cwd: str
    env: str
    start_ns: int
    output_limit_bytes: int | None = None
    end_ns: int | None = None
    status: int | None = None
    streams: dict[int, _Stream] = field(default_factory=lambda: {1: _Stream(), 2: _Stream()})

    @property
    def returncode(self) -> int | None:
        """Decode a raw wait status (wait(2)): exit code, negative = signal."""
        if self.status is None:
            return None
        number = self.status & 0x7F
        return -number if number else self.status >> 8 & 0xFF

    def status_text(self) -> str:
        """Give the file ``status``: lines ``key: value``, times in seconds of the network's clock."""
        code = self.returncode
        lines = [f"node: {self.node}", f"cwd: {self.cwd}", f"env: {self.env}", f"start_s: {seconds(self.start_ns)}"]
        if self.end_ns is None or code is None:
            lines.append("state: running")
        else:
            lines += [
                "state: ended",
                f"end_s: {seconds(self.end_ns)}",
                f"duration_s: {seconds(self.end_ns - self.start_ns)}",
            ]
            lines.append(f"exit: {code}" if code >= 0 else f"signal: {_signal_name(-code)}")
        limit = self.output_limit_bytes
        for number, name in _STREAMS.items():
            if limit is not None and self.streams[number].bytes >= limit:
                lines.append(f"{name}: cut off at the limit of {limit} bytes")
        return "\n".join(lines) + "\n"


class DiskRecorder:
    """Write one execution into its folder as it goes.

    It implements the ``Recorder`` of ``testbed.backends.base``.

    Args:
        folder: The execution's folder; made here, it must not exist.
        record: Who is recorded; completed and saved by ``finish``.
        taint_before: The kernel's taint before the execution, where it is not a fresh one.
        make_room: Called once when the disk is full, to free what was kept in reserve.
        output_limit_bytes: What a process may write to one stream; None is no limit. One that did so is marked.

    A disk that is full does not stop a backend in the middle of an answer: the first failure is kept in ``failure``.

    Raises:
        RecordingFailed: The folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        record: Record,
        make_room: Callable[[], None] = lambda: None,
        *,
        taint_before: int = 0,
        output_limit_bytes: int | None = None,
    ) -> None:
        self.folder = folder
        self.record = record
        self.failure: RecordingFailed | None = None
        self.kernel_told = False  # the kernel's log has come, be it empty
        self._make_room = make_room
        self._taint_before = taint_before
        self._output_limit_bytes = output_limit_bytes
        self._processes: dict[int, _Process] = {}
        self._captures: dict[tuple[str, str], tuple[str, _Stream]] = {}
        self._commands = hashlib.sha256()
        self._kernel_log: list[str] = []
        self._write(folder, self._open)
        if self.failure is not None:
            raise self.failure

    @property
    def console_path(self) -> Path:
        """Give the file that the guest's console goes to."""
        return self.folder / "console.log"

    @property
    def kernel_text(self) -> str:
        """Give the kernel's log so far."""
        return "".join(self._kernel_log)

    def topology(self, topology: Topology) -> None:
        """Record the network that is brought up; no part of the digest, as the command ``up`` has its SHA-256."""
        text = json.dumps(topology.to_dict(), separators=(",", ":")) + "\n"
        self._append(self.folder / TOPOLOGY_FILE, text.encode())

    def command(self, name: str, fields: Mapping[str, Any], start_ns: int, end_ns: int) -> None:
        """Record what the test asked for: its name, canonical fields and times (ns of the network's clock)."""
        line = digest.canonical({"name": name, "fields": fields, "start_ns": start_ns, "end_ns": end_ns}) + "\n"
        self._append(self.folder / COMMANDS_FILE, line.encode())
        self._commands.update(line.encode())
        self.record.commands += 1
        self.record.end_ns = max(self.record.end_ns, end_ns)

    def process_started(
        self,
        process: int,
        node: str,
        *,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        start_ns: int,
    ) -> None:
        """Record that a process started: makes its folder."""
        words = [str(word).replace("\0", "\\0") for word in argv]
        program = words[0].rsplit("/", 1)[-1] if words else ""
        name = f"{len(self._processes):03}-{safe(node)}-{safe(program)[:40]}"
        started = _Process(
            f"processes/{name}", node, words, cwd, digest.canonical(env), start_ns, self._output_limit_bytes
        )
        self._processes[process] = started
        path = self.folder / started.folder
        self._write(path, lambda: _make_process_folder(path, started))

    def process_output(self, process: int, stream: int, data: bytes) -> None:
        """Record what a process wrote: stream 1 is stdout, 2 is stderr."""
        known = self._process(process)
        self._append(self.folder / known.folder / _STREAMS[stream], data)
        state = known.streams[stream]
        state.bytes += len(data)
        state.sha.update(data)

    def process_exited(self, process: int, status: int, end_ns: int) -> None:
        """Record the end of a process: raw wait status and time."""
        known = self._process(process)
        known.status, known.end_ns = status, end_ns
        self.record.end_ns = max(self.record.end_ns, end_ns)
        path = self.folder / known.folder / "status"
        self._write(path, lambda: _rewrite(path, known.status_text()))

    def capture(self, link: str, node: str, data: bytes) -> None:
        """Append pcapng bytes to the capture of the end of ``link`` at ``node``."""
        if (link, node) not in self._captures:
            self._captures[link, node] = (f"captures/{safe(link)}.{safe(node)}.pcapng", _Stream())
        file, state = self._captures[link, node]
        self._append(self.folder / file, data)
        state.bytes += len(data)
        state.sha.update(data)

    def capture_path(self, link: str, node: str) -> Path:
        """Give the file of one link end's capture; it is there with the first bytes."""
        return self.folder / f"captures/{safe(link)}.{safe(node)}.pcapng"

    def drops(self, count: int) -> None:
        """Record frames that the capture ring lost."""
        self.record.lost_frames += count

    def kernel_log(self, text: str, taint: int) -> None:
        """Append to the kernel's log (lines ``SECONDS LEVEL TEXT``) and note new bits of taint."""
        if text and not text.endswith("\n"):
            text += "\n"
        self.kernel_told = True
        self._kernel_log.append(text)
        self.record.taint |= taint & ~self._taint_before
        if text:
            self._append(self.folder / KERNEL_FILE, text.encode())

    def complaints(self) -> list[kernlog.Complaint]:
        """Give what the kernel complained about so far; a taint counts only where nothing else tells of it."""
        found = kernlog.complaints(self.kernel_text)
        tainted = kernlog.taint_complaint(self.record.taint)
        return found if found or tainted is None else [tainted]

    def finish(self, left_out: Sequence[str] = ()) -> Record:
        """Complete the record and save it; what comes later is still written to its files.

        Args:
            left_out: Names of parts that the case leaves out of the digest (see ``digest.matching``).

        Raises:
            RecordingFailed: ``record.json`` cannot be written.
        """
        record = self.record
        record.processes = [self._process_record(process) for process in self._processes.values()]
        record.captures = [
            CaptureRecord(file, link, node, state.bytes, state.sha.hexdigest())
            for (link, node), (file, state) in sorted(self._captures.items())
        ]
        record.parts = self._parts()
        record.left_out = sorted({part for name in left_out for part in digest.matching(name, record.parts)})
        record.digest = digest.total(record.parts, record.left_out)
        record.complaints = [complaint.headline for complaint in self.complaints()]
        record.complete = True
        try:
            record.save(self.folder)
        except OSError as error:
            raise self._failed(self.folder, error) from error
        return record

    def _open(self) -> None:
        self.folder.mkdir(parents=True)
        self.record.save(self.folder)
        (self.folder / COMMANDS_FILE).touch()

    def _parts(self) -> dict[str, str]:
        parts = {digest.COMMANDS: self._commands.hexdigest()}
        if self.kernel_text:
            parts[digest.KERNEL] = hashlib.sha256(self.kernel_text.encode()).hexdigest()
        for process in self._processes.values():
            out, err = (process.streams[number].sha.hexdigest() for number in (1, 2))
            name = process.folder.removeprefix("processes/")
            parts[digest.PROCESS + name] = digest.process_part(process.argv, out, err, process.status_text())
        for file, state in self._captures.values():
            name = file.removeprefix("captures/").removesuffix(".pcapng")
            parts[digest.CAPTURE + name] = state.sha.hexdigest()
        return parts

    def _process_record(self, process: _Process) -> ProcessRecord:
        return ProcessRecord(
            folder=process.folder,
            node=process.node,
            argv=process.argv,
            start_ns=process.start_ns,
            end_ns=process.end_ns,
            returncode=process.returncode,
            stdout_bytes=process.streams[1].bytes,
            stderr_bytes=process.streams[2].bytes,
        )

    def _process(self, process_id: int) -> _Process:
        if process_id not in self._processes:
            raise InternalError(f"a backend recorded process {process_id}, which never started")
        return self._processes[process_id]

    def _append(self, path: Path, data: bytes) -> None:
        self._write(path, lambda: _append(path, data))

    def _write(self, path: Path, action: Callable[[], None]) -> None:
        """Write, or keep as ``failure`` why not: the backend goes on, but after a failure nothing more is written."""
        if self.failure is not None:
            return
        try:
            action()
        except OSError as error:
            self._make_room()
            self.failure = self._failed(path, error)

    def _failed(self, path: Path, error: OSError) -> RecordingFailed:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        hint = f"free some room on the disk of {self.folder}, or choose another with --run-dir" if full else None
        return RecordingFailed(f"cannot write the record {path}: {error.strerror}", hint=hint)


def _append(path: Path, data: bytes) -> None:
    """Append all of it: an unbuffered file may take less at once, and says why at the next."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
    with path.open("ab", buffering=0) as stream:
        rest = memoryview(data)
        while rest:
            rest = rest[stream.write(rest) or 0 :]


def _rewrite(path: Path, text: str) -> None:
    """Write a small file anew in place, in one go: a reader sees the old text or the new one.

    Another file that takes its place would do the same, but costs the making of a file for each process.
    """
    data = text.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.pwrite(descriptor, data, 0) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def _make_process_folder(path: Path, process: _Process) -> None:
    path.mkdir(parents=True)
    (path / "cmdline").write_text(shlex.join(process.argv) + "\n")
    (path / "status").write_text(process.status_text())
    for stream in _STREAMS.values():
        (path / stream).touch()


def safe(name: str) -> str:
    """Make a name that is one component of a path, without blanks."""
    return _UNSAFE.sub("_", name).lstrip(".") or "_"


def seconds(time_ns: int) -> str:
    """Write ns as seconds with nine places, exactly."""
    sign = "-" if time_ns < 0 else ""
    return f"{sign}{abs(time_ns) // 10**9}.{abs(time_ns) % 10**9:09}"


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:
        return str(number)
