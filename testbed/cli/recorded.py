# SPDX-License-Identifier: MIT
"""One piece of work in one network, recorded as a run of one case; output of processes is shown as it comes."""

from __future__ import annotations

import datetime as dt
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from testbed.backends.base import BackendOptions
from testbed.backends.registry import backend as backend_named
from testbed.cli.output import note
from testbed.errors import DeadlineError, ExitCode, GuestCrashed, TestbedError
from testbed.harness import verdicts
from testbed.harness.environment import environment, under_test
from testbed.harness.recorder import DiskRecorder, safe
from testbed.harness.records import CaseRecord, ExecutionRecord, Record, RunRecord
from testbed.harness.runfolder import RunFolder
from testbed.verdict import Verdict, exit_code, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.backends.network import Network
    from testbed.scenarios.topology import Switch, Topology

T = TypeVar("T")


class _Tee(DiskRecorder):
    """Records, and shows what processes write on our own stdout and stderr."""

    def process_output(self, process: int, stream: int, data: bytes) -> None:
        """Record it, then show it."""
        super().process_output(process, stream, data)
        shown = sys.stdout if stream == 1 else sys.stderr
        shown.flush()
        shown.buffer.write(data)
        shown.buffer.flush()


@dataclass(frozen=True, kw_only=True)
class How:
    """How a piece of work is run.

    Args:
        topology: The network.
        seed: Of everything random in it.
        backend: Where it is brought up.
        switch: What all switches are, where the backend has a choice; None leaves it to them.
        libos: The flavor ``linux``, or the folder of an artifact.
        capture: Whether link ends are captured.
        stall_s: Wall time without progress after which a guest is given up, s.
        wall_limit_s: Wall time that the network may live, s; None is no limit.
        run_dir: Folder of the run, new or empty; None is a new one below the folder of runs.
        kind: The command of ours that does it; it takes the place of the suite in the record.
        options: Words of the command line that chose all this beyond what is above, for whoever does it again.
        show: Whether what processes write is shown on our own stdout and stderr.
        spin_ms: Host CPU time after which a task without system calls lets others run, ms; 0 is never.
        tell: Gets the record's folder as soon as the record is complete, whatever it says.
    """

    topology: Topology
    seed: int = 1
    backend: str = "timetravel"
    switch: Switch | None = None
    libos: str = "linux"
    capture: bool = True
    stall_s: float = BackendOptions.stall_s
    wall_limit_s: float | None = None
    run_dir: Path | None = None
    kind: str = "exec"
    options: Sequence[str] = ()
    show: bool = True
    spin_ms: int = 0
    tell: Callable[[Path], None] = field(default=lambda _: None, repr=False)


def recorded(command: Sequence[str], how: How, work: Callable[[Network], T]) -> tuple[T, Path]:
    """Bring a network up, do the work in it, take it down, and leave a run with one record.

    Args:
        command: What it is called in the record.
        how: The network and its options.
        work: Gets the live network.

    Returns:
        What the work gave, and the record's folder.

    Raises:
        TestbedError: As the backend says, or the record proves nothing; GuestCrashed also where only the kernel's log
            tells of trouble. The record is written first.
    """
    folder = RunFolder.choose(how.run_dir)
    folder.make()
    name = safe(Path(command[0]).name)
    record = Record(f"{how.kind}::{name}", how.kind, name, execution=1, seed=how.seed, backend=how.backend)
    recorder = (_Tee if how.show else DiskRecorder)(folder.execution(how.kind, name, 1), record, folder.make_room)
    run = _run_record(command, how)
    run.save(folder.path)
    begin = time.monotonic()
    judged: list[tuple[Verdict, str]] = []
    try:
        result = _work(how, recorder, work)
        judged.append((Verdict.PASSED, ""))
    except BaseException as error:
        judged.append((_verdict_of(error), verdicts.one_line(error)))
        if isinstance(error, GuestCrashed) and error.hint is None:
            error.hint = _words_of_the_kernel(recorder.folder)
        raise
    finally:
        verdict, reason, evidence = verdicts.of_record(recorder)
        judged.append((verdict, reason))
        _finish(recorder, run, folder, judged, time.monotonic() - begin)
        how.tell(recorder.folder)
    if verdict is Verdict.CRASHED:
        raise GuestCrashed(f"{reason}\n{evidence}", hint=f"the record: {recorder.folder}")
    if verdict is not Verdict.PASSED:
        raise TestbedError(reason, hint=f"the record: {recorder.folder}")
    return result, recorder.folder


def tell(record: Path) -> None:
    """Say on stderr where a record is; the path from the current folder where it lies below it."""
    note(f"record: {record.relative_to(Path.cwd()) if record.is_relative_to(Path.cwd()) else record}")


def _work(how: How, recorder: DiskRecorder, work: Callable[[Network], T]) -> T:
    kernel = None if how.libos == "linux" else Path(how.libos)
    options = BackendOptions(
        capture=how.capture,
        kernel=kernel,
        stall_s=how.stall_s,
        wall_limit_s=how.wall_limit_s,
        switch=how.switch,
        spin_ms=how.spin_ms,
    )
    recorder.topology(how.topology)
    network = backend_named(how.backend).up(how.topology, seed=how.seed, recorder=recorder, options=options)
    with network:
        record = recorder.record
        record.epoch_ns, record.kernel, record.artifacts = network.epoch_ns, network.release, network.artifacts
        return work(network)


def _words_of_the_kernel(record: Path) -> str | None:
    """Say which files of a record have what the kernel said; one that died while it booted left its console only."""
    files = [str(path) for name in ("console.log", "kernel.log") if (path := record / name).is_file()]
    return f"the kernel's words: {' and '.join(files)}" if files else None


def _verdict_of(error: BaseException) -> Verdict:
    """Judge an error that ended the work; an interrupt proves nothing."""
    if isinstance(error, GuestCrashed):
        return Verdict.CRASHED
    if isinstance(error, DeadlineError):
        return Verdict.TIMED_OUT
    return Verdict.NOT_RUN if isinstance(error, KeyboardInterrupt) else Verdict.ERROR


def _run_record(command: Sequence[str], how: How) -> RunRecord:
    return RunRecord(
        state="running",
        started=dt.datetime.now().astimezone().isoformat(timespec="seconds"),
        command=["testbed", how.kind, *_options(how), *(["--"] if how.kind == "exec" else []), *command],
        seed=how.seed,
        repeat=1,
        backend=how.backend,
        libos=how.libos,
        environment=environment(),
    )


def _options(how: How) -> list[str]:
    """Give the words that make the same command again, of those that are not as usual."""
    words = list(how.options)
    words += ["--backend", how.backend] if how.backend != "timetravel" else []
    words += ["--switch", str(how.switch)] if how.switch is not None else []
    words += ["--libos", how.libos] if how.libos != "linux" else []
    words += ["--seed", str(how.seed)] if how.seed != 1 else []
    return words + ([] if how.capture else ["--no-capture"])


def _finish(
    recorder: DiskRecorder, run: RunRecord, folder: RunFolder, judged: list[tuple[Verdict, str]], wall_s: float
) -> None:
    """Complete record and run on disk with the worst of what was judged."""
    record = recorder.record
    record.verdict = worst(verdict for verdict, _ in judged)
    record.reason = next(reason for verdict, reason in judged if verdict is record.verdict)
    record.wall_s = run.wall_s = round(wall_s, 6)
    recorder.finish()
    where = folder.relative(recorder.folder)
    virtual_s = record.end_ns / 1e9
    case = CaseRecord(
        record.nodeid, record.suite, record.case, record.verdict, record.reason, record.seed, record.digest
    )
    case.executions = [
        ExecutionRecord(1, record.verdict, record.reason, record.digest, virtual_s, record.wall_s, where)
    ]
    case.virtual_s, case.wall_s, case.folder = virtual_s, record.wall_s, str(Path(where).parent)
    case.kernel, case.artifacts = record.kernel, record.artifacts
    run.environment |= under_test([case])
    run.verdict = record.verdict
    interrupted = isinstance(sys.exception(), KeyboardInterrupt)  # in a finally: what is on its way out
    run.cases, run.state = [case], "interrupted" if interrupted else "finished"
    run.exit_code = int(ExitCode.INTERRUPTED if interrupted else exit_code([record.verdict]))
    run.save(folder.path)
    folder.make_room()
    folder.release()
