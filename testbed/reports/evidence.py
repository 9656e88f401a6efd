# SPDX-License-Identifier: MIT
"""What a report says of a case that went wrong: its record's words, its place in the source, how to replay it."""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import ConfigError
from testbed.harness.records import Record
from testbed.reports.text import shortened
from testbed.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.harness.records import CaseRecord

_GUEST_ENDED = frozenset({Verdict.CRASHED, Verdict.TIMED_OUT})  # before it could tell its log
STREAM_LIMIT = 8_192
"""Characters of each stream and log that are shown."""


@dataclass(frozen=True)
class ProcessOutput:
    """What a process of a record wrote.

    Args:
        title: Who it was and what became of it: ``h1: ping -c3 10.0.1.2 (exit 1)``.
        stdout, stderr: The ends of what it wrote.
    """

    title: str
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Evidence:
    """What the record of the shown execution says.

    Args:
        folder: The record's folder, below the run's; None where there is none.
        kernel_log: The end of ``kernel.log``, of a crash without one the end of ``console.log``.
        processes: In the order of their start.
    """

    folder: str | None
    kernel_log: str
    processes: tuple[ProcessOutput, ...]


def evidence(run_folder: Path, case: CaseRecord) -> Evidence:
    """Read the record of the execution that gave a case its verdict.

    Args:
        run_folder: The run's folder.
        case: Any case; of one without a record the evidence is empty.
    """
    kept = [entry for entry in case.executions if entry.folder is not None]
    worst = [entry for entry in kept if entry.verdict is case.verdict]
    shown = next(iter(worst or kept), None)
    if shown is None or shown.folder is None:
        return Evidence(None, "", ())
    folder = run_folder / shown.folder
    try:
        record = Record.load(folder)
    except ConfigError:  # removed or cut short since: the run's own words must do
        return Evidence(shown.folder, "", ())
    log = tail(folder / "kernel.log")
    if not log and case.verdict in _GUEST_ENDED:
        log = tail(folder / "console.log")
    processes = tuple(
        ProcessOutput(
            f"{process.node}: {shlex.join(process.argv)} ({_end(process.returncode)})",
            tail(folder / process.folder / "stdout"),
            tail(folder / process.folder / "stderr"),
        )
        for process in record.processes
    )
    return Evidence(shown.folder, log, processes)


def tail(path: Path, limit: int = STREAM_LIMIT) -> str:
    """Read the end of a file of any size as text; empty where there is none."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - 4 * limit))  # four bytes are the longest character of UTF-8
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return shortened(text, limit)


def assertion(case: CaseRecord) -> str:
    """Give what a test found wrong: the lines that pytest marks with ``E``, else the reason in one line."""
    text = case.failure.text if case.failure is not None else ""
    marked = "\n".join(line[1:] for line in text.splitlines() if line[:2] in {"E ", "E"})
    return textwrap.dedent(marked).strip() or case.difference or case.reason


def place(case: CaseRecord) -> tuple[str, int | None]:
    """Give the file and line (from 1, None = unknown) that a CI should point to."""
    if case.failure is not None:
        return case.failure.file, case.failure.line
    return case.nodeid.partition("::")[0], None


def _end(returncode: int | None) -> str:
    if returncode is None:
        return "did not end"
    return f"exit {returncode}" if returncode >= 0 else f"signal {-returncode}"
