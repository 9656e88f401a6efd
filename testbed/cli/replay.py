# SPDX-License-Identifier: MIT
"""``testbed replay``: a case once more, as its record says, and whether it gives the same bits."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.output import line, note
from testbed.errors import CapabilityError, ConfigError, ExitCode, TestbedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.harness.records import Record
    from testbed.harness.replay import Replay

REPLAYS = "replays"
_SHOWN_LINES = 30
_NS = 10**9


def replay(
    run: Annotated[str, typer.Argument(help="A run: folder, id, beginning of an id, or 'latest'.")],
    case: Annotated[str, typer.Argument(help="A case: node id, or a part that only one has.")],
    *,
    gdb: Annotated[
        bool, typer.Option("--gdb", help="Attach gdb to the guest's kernel before the network is up.")
    ] = False,
    gdb_script: Annotated[Path | None, typer.Option(help="Commands for gdb, in batch; implies --gdb.")] = None,
    until_s: Annotated[
        float | None,
        typer.Option("--until", help="Stop at this time of the network, s, and open the shell.", metavar="T"),
    ] = None,
    script: Annotated[Path | None, typer.Option(help="Lines for the shell of --until.")] = None,
    execution: Annotated[
        int | None, typer.Option(min=1, help="Which execution; default: the first that was kept.", show_default=False)
    ] = None,
    libos: Annotated[
        Path | None, typer.Option(help="Another kernel's artifact to execute it on.", metavar="DIR")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the new record even if it is the same.")] = False,
    context: Annotated[
        int, typer.Option("--context", "-C", min=0, help="Frames, lines or commands to show before a difference.")
    ] = 3,
) -> None:
    """Execute a case again. Exit status: 0 the same digest, 1 another; --until: 0 where the time was reached."""
    from testbed.harness.lookup import find_case, find_record, open_run
    from testbed.harness.records import Record
    from testbed.harness.replay import prepare

    for path in (gdb_script, script, libos):
        if path is not None and not path.exists():
            raise ConfigError(f"there is no file or folder {str(path)!r}")
    folder, contents = open_run(run)
    record_folder = find_record(folder, find_case(contents, case), execution)
    record = Record.load(record_folder)
    _check(record, gdb=gdb or gdb_script is not None, until_s=until_s)
    what = prepare(contents, folder, record, record_folder, libos=None if libos is None else str(libos))
    kernel = record.kernel or "unknown"
    note(f"replay: {record.nodeid}, seed {contents.seed}, kernel {kernel}; it took {record.wall_s:.1f} s")
    with _new_folder() as (new, mark):
        from testbed.cli.again import Task

        task = Task(
            words=[],
            gdb=gdb or gdb_script is not None,
            gdb_script=None if gdb_script is None else str(gdb_script.absolute()),
            until_ns=None if until_s is None else round(until_s * _NS),
            script=None if script is None else str(script.absolute()),
            record=str(record_folder),
            mark=str(mark),
        )
        _execute(what, task, new, record.wall_s)
        if until_s is not None:
            _remove(new)
            _check_stop(mark, until_s)
            return
        status = _judge(record_folder, new, context)
        if status == ExitCode.OK and not keep:
            _remove(new)
        else:
            note(f"the new record: {new}")
    raise typer.Exit(int(status))


def _check(record: Record, *, gdb: bool, until_s: float | None) -> None:
    """Refuse what cannot be done, before anything runs.

    Raises:
        CapabilityError: The backend promises no identical bits, or has no kernel of its own to stop.
        ConfigError: There is nothing to compare with, or the time is past the case's end.
    """
    if record.backend in {"netns", "mininet", "cloudlab"}:
        raise CapabilityError(
            f"backend {record.backend!r} promises no identical bits: its cases cannot be replayed", hint="testbed run"
        )
    if (gdb or until_s is not None) and record.backend != "timetravel":
        raise CapabilityError(f"--gdb and --until need a guest; this record is of backend {record.backend!r}")
    if gdb:
        from testbed.harness.gdb import check

        check()
    if until_s is None:
        if not record.complete or record.digest is None:
            raise ConfigError("the execution was killed before its end: its record has no digest to compare with")
        return
    from testbed.cli.again import shell

    shell()
    end_s = record.end_ns / _NS
    if not 0 <= until_s < end_s:
        raise ConfigError(f"--until {until_s:g} is not within the case, which took from 0 to {end_s:.9f} s")


def _check_stop(mark: Path, until_s: float) -> None:
    """Say what went wrong at the stop.

    Raises:
        TestbedError: It was not reached, or a line of the shell's script failed.
    """
    if not mark.exists():
        raise TestbedError(f"the case ended before t = {until_s:g} s, other than in its record")
    failed = json.loads(mark.read_text())
    if failed:
        raise TestbedError(failed["error"])


def _execute(what: Replay, task: object, new: Path, expected_s: float) -> None:
    """Execute the case in a process of its own; what it says is shown only where it left no record.

    Raises:
        TestbedError: There is no record; with its last words.
    """
    from testbed.cli.again import Task

    if not isinstance(task, Task):
        raise TypeError(task)
    looking = task.gdb or task.until_ns is not None
    words = [
        f"--rootdir={what.root}",
        "--run-dir",
        str(new),
        "-p",
        "no:cacheprovider",
        "-n",
        "0",
        "--no-report",
        *what.words,
    ]
    words += ["-s", "-p", "no:terminal", "--wall-limit", "1e9"] if looking else []
    task = dataclasses.replace(task, words=[*words, what.nodeid])
    command = [sys.executable, "-m", "testbed.cli.again", json.dumps(dataclasses.asdict(task))]
    environment = {**os.environ, **what.environment, "PYTHONHASHSEED": "0"}
    said = subprocess.PIPE if not looking else None
    from testbed.cli.progress import waiting

    told = nullcontext() if looking else waiting(f"replay: {what.nodeid}", expected_s)
    with (
        told,
        subprocess.Popen(
            command, cwd=what.root, env=environment, stdout=said, stderr=subprocess.STDOUT if said else None, text=True
        ) as child,
    ):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if task.gdb else None  # Ctrl-C is gdb's
        try:
            output = child.communicate()[0] or ""
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)
    if task.until_ns is None and not list(new.glob("cases/*/*/1/record.json")):
        last = "\n".join(output.splitlines()[-_SHOWN_LINES:])
        raise TestbedError(f"the case left no record (pytest's exit code {child.returncode}):\n{last}")


def _judge(old: Path, new: Path, context: int) -> ExitCode:
    """Compare the two records, and tell."""
    from testbed.harness.determinism import compare, describe
    from testbed.harness.records import Record
    from testbed.reports.sides import evidence

    (folder,) = (file.parent for file in new.glob("cases/*/*/1/record.json"))
    record, again = Record.load(old), Record.load(folder)
    found = compare(old, folder)
    if record.verdict is not again.verdict:
        reason = f" ({again.reason})" if again.reason else ""
        line(f"verdict: {record.verdict} in the record, {again.verdict} now{reason}")
    if not found:
        line(f"identical: {again.verdict}, digest {again.digest}")
        return ExitCode.OK if record.verdict is again.verdict else ExitCode.FAILED
    line(f"different: digest {again.digest}, not {record.digest}")
    line(describe(found, "A (record)", "B (now)").splitlines()[0])
    for text in evidence(found[0], old, folder, context=context):
        line(f"  {text}")
    return ExitCode.FAILED


@contextmanager
def _new_folder() -> Iterator[tuple[Path, Path]]:
    """Give a folder for the new run, beside the others but not among them, and a file to leave a mark in."""
    from testbed.harness.runfolder import new_name
    from testbed.paths import runs_dir

    with tempfile.TemporaryDirectory(prefix="testbed-replay-") as temporary:
        yield runs_dir() / REPLAYS / new_name(), Path(temporary) / "mark"


def _remove(new: Path) -> None:
    """Remove the new run, which says nothing that the record does not."""
    from testbed.harness.runfolder import LATEST

    shutil.rmtree(new, ignore_errors=True)
    latest = new.parent / LATEST
    if latest.is_symlink() and not latest.exists():
        latest.unlink()
    with suppress(OSError):  # there are others
        new.parent.rmdir()
