# SPDX-License-Identifier: MIT
"""What a Run and its Records are on disk, and how they are read back."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from testbed.errors import ConfigError
from testbed.verdict import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA = 1
RUN_FILE = "run.json"
RECORD_FILE = "record.json"
JUNIT_FILE = "junit.xml"
CASES = "cases"


@dataclass(frozen=True)
class ProcessRecord:
    """One process of an execution; its folder holds ``cmdline``, ``stdout``, ``stderr`` and ``status``.

    Args:
        folder: ``processes/NNN-NODE-PROGRAM``, below the record's folder.
        node: The node that it ran on.
        argv: Its words.
        start_ns: When it started, ns of the network's clock.
        end_ns: When it ended, or None where it was never seen to end.
        returncode: Exit code, negative = signal, or None.
        stdout_bytes, stderr_bytes: How much it wrote.
    """

    folder: str
    node: str
    argv: list[str]
    start_ns: int
    end_ns: int | None
    returncode: int | None
    stdout_bytes: int
    stderr_bytes: int


@dataclass(frozen=True)
class CaptureRecord:
    """One capture: a pcapng file of one link end.

    Args:
        file: ``captures/LINK.NODE.pcapng``, below the record's folder.
        link, node: The link and the node at the captured end.
        bytes: Length of the file.
        sha256: Of the whole file, 64 hex digits.
    """

    file: str
    link: str
    node: str
    bytes: int
    sha256: str


@dataclass
class Record:
    """What one execution of a case left, as ``record.json`` in its folder says it.

    Args:
        nodeid, suite, case: Whose execution it is.
        execution: 1, 2, ...
        seed: The case's seed.
        backend: Name of the backend.
        verdict: Of this execution alone.
        reason: One line that explains a verdict other than passed.
        digest: SHA-256 over the parts that are not left out; None when nothing was recorded.
        parts: Name of each part to its SHA-256.
        left_out: Parts that the case leaves out of the digest, by name.
        kernel: Release of the kernel under test; empty where the network did not come up.
        artifacts: Name of the kernel's and the agent's artifact (of a program of none: its path) to the program's
            SHA-256.
        epoch_ns: ns since 1970 of t = 0: what the times in the captures count from.
        end_ns: The network's clock when the network went down, ns.
        wall_s: Wall time of the execution, s.
        processes, captures: What there is, in order.
        commands: How many lines ``commands.jsonl`` has.
        lost_frames: Frames that the capture ring lost.
        taint: Bits of the kernel's taint that are new.
        complaints: Headlines of what the kernel complained about.
        complete: False in the file that stands there while the execution runs.
    """

    nodeid: str
    suite: str
    case: str
    execution: int
    seed: int
    backend: str
    verdict: Verdict = Verdict.NOT_RUN
    reason: str = ""
    digest: str | None = None
    parts: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    kernel: str = ""
    artifacts: dict[str, str] = field(default_factory=dict)
    epoch_ns: int = 0
    end_ns: int = 0
    wall_s: float = 0.0
    processes: list[ProcessRecord] = field(default_factory=list)
    captures: list[CaptureRecord] = field(default_factory=list)
    commands: int = 0
    lost_frames: int = 0
    taint: int = 0
    complaints: list[str] = field(default_factory=list)
    complete: bool = False
    schema: int = SCHEMA

    def save(self, folder: Path) -> None:
        """Write ``record.json`` in one step: the old one stands until the new one is whole."""
        write_atomically(folder / RECORD_FILE, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the record of an execution's folder.

        Raises:
            ConfigError: There is none, or it is of another schema.
        """
        data = _read(folder / RECORD_FILE, "record")
        with _wrong_fields("record", folder / RECORD_FILE):
            data["verdict"] = Verdict(data["verdict"])
            data["processes"] = [ProcessRecord(**entry) for entry in data["processes"]]
            data["captures"] = [CaptureRecord(**entry) for entry in data["captures"]]
            return cls(**data)


@dataclass
class ExecutionRecord:
    """One execution as ``run.json`` sums it up.

    Args:
        number: 1, 2, ...
        verdict, reason, digest: As in its Record.
        virtual_s: The network's clock when it went down, s.
        wall_s: Wall time, s.
        folder: Of its Record below the run's folder; None where it was dropped (passed, not the first, no ``--keep``).
    """

    number: int
    verdict: Verdict
    reason: str
    digest: str | None
    virtual_s: float
    wall_s: float
    folder: str | None


@dataclass(frozen=True)
class Failure:
    """What a test raised.

    Args:
        text: The traceback with its source lines, as pytest shows it; of a long one the middle is left out.
        file: File of the line in the test that raised it, as pytest names it.
        line: Number of that line, from 1; None where nobody knows.
    """

    text: str
    file: str
    line: int | None


@dataclass
class CaseRecord:
    """One case of a run.

    Args:
        nodeid: What pytest calls it.
        suite, case: Its suite's name and its folder's.
        verdict: The worst of its executions.
        reason: One line that explains a verdict other than passed: the reason of a skip, the assertion, the crash.
        seed: The case's seed.
        digest: Of its executions where they agree, else None.
        left_out: Parts that the case leaves out of the digest, by name.
        executions: In order.
        difference: The first difference of two executions, in words; None where they agree.
        kernel: Release of the kernel under test; empty where no network came up.
        artifacts: As in its Records.
        virtual_s, wall_s: Sums over the executions, s.
        folder: Of its Records below the run's folder; None where it has none.
        failure: What was raised; None where nothing was.
        libos: The library with the queue API that it is for; empty for a case of the kernel's own.
    """

    nodeid: str
    suite: str
    case: str
    verdict: Verdict = Verdict.NOT_RUN
    reason: str = ""
    seed: int | None = None
    digest: str | None = None
    left_out: list[str] = field(default_factory=list)
    executions: list[ExecutionRecord] = field(default_factory=list)
    difference: str | None = None
    virtual_s: float = 0.0
    wall_s: float = 0.0
    folder: str | None = None
    kernel: str = ""
    artifacts: dict[str, str] = field(default_factory=dict)
    failure: Failure | None = None
    libos: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make one of what ``dataclasses.asdict`` or JSON gave."""
        values = dict(data)
        values["verdict"] = Verdict(values["verdict"])
        values["executions"] = [
            ExecutionRecord(**{**entry, "verdict": Verdict(entry["verdict"])}) for entry in values["executions"]
        ]
        if values.get("failure") is not None:
            values["failure"] = Failure(**values["failure"])
        return cls(**values)


@dataclass
class RunRecord:
    """A run, as ``run.json`` says it.

    Args:
        state: ``running``, ``finished`` or ``interrupted``.
        started: Wall time of the start, ISO 8601 with offset.
        wall_s: Length so far, s.
        verdict: The worst of its cases.
        command: The words that started it.
        exit_code: None until it ended.
        seed, repeat, backend, libos: Options of the run.
        environment: Facts: ``testbed``, ``python``, ``machine``, ``host``, ``cpus``, ``artifacts`` (as
            those of the cases), ``kernels`` (their releases).
        problems: What went wrong beside the cases: collection errors, internal errors.
        cases: In the order of their collection.
        options: Options beyond these that decide what a case does, as words: ``--topo``, ``--switch``,
            ``--no-captures``, ``--spin-ms``.
    """

    state: str
    started: str
    command: list[str]
    seed: int
    repeat: int
    backend: str
    libos: str
    environment: dict[str, Any]
    wall_s: float = 0.0
    verdict: Verdict = Verdict.NOT_RUN
    exit_code: int | None = None
    problems: list[str] = field(default_factory=list)
    cases: list[CaseRecord] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    schema: int = SCHEMA

    def save(self, folder: Path) -> None:
        """Write ``run.json`` in one step."""
        write_atomically(folder / RUN_FILE, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def load_run(path: Path) -> RunRecord:
    """Read a run back.

    Args:
        path: The run's folder, its ``run.json``, or a link to either.

    Returns:
        The run. Of a run that was killed or interrupted, cases that only left records on disk are there too, with the
        worst verdict that these prove; never with a pass, as nobody has compared them.

    Raises:
        ConfigError: There is no run, or it is of another schema.
    """
    file = path if path.name == RUN_FILE else path / RUN_FILE
    data = _read(file, "run")
    with _wrong_fields("run", file):
        data["cases"] = [CaseRecord.from_dict(entry) for entry in data["cases"]]
        data["verdict"] = Verdict(data["verdict"])
        run = RunRecord(**data)
    if run.state != "finished":
        _add_from_disk(run, file.parent)
    return run


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by a new text in one step.

    Raises:
        OSError: As the system says; the old file then stands unchanged.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(file: Path, what: str) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text())
    except FileNotFoundError:
        raise ConfigError(f"no {what} in {file.parent}: {file.name} is missing") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the {what} {file}: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise ConfigError(f"{file} has schema {found!r}; this testbed reads schema {SCHEMA}")
    return data


@contextmanager
def _wrong_fields(what: str, file: Path) -> Iterator[None]:
    """Say of a file that is JSON, but no run or record, that it is none."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"cannot read the {what} {file}: {type(error).__name__}: {error}") from error


def _add_from_disk(run: RunRecord, folder: Path) -> None:
    """Take into a killed run what its executions had already written."""
    known = {case.nodeid: case for case in run.cases}
    for file in sorted(folder.glob(f"{CASES}/*/*/*/{RECORD_FILE}")):
        record = Record.load(file.parent)
        case = known.get(record.nodeid)
        if case is None:
            case = known[record.nodeid] = CaseRecord(record.nodeid, record.suite, record.case)
            run.cases.append(case)
        if any(entry.number == record.execution for entry in case.executions):
            continue
        where = str(file.parent.relative_to(folder))
        case.executions.append(
            ExecutionRecord(
                record.execution,
                record.verdict,
                record.reason,
                record.digest,
                record.end_ns / 1e9,
                record.wall_s,
                where,
            )
        )
        case.seed, case.folder = record.seed, str(file.parent.parent.relative_to(folder))
        case.verdict = worst([case.verdict, Verdict.NOT_RUN, record.verdict])
