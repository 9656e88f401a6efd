# SPDX-License-Identifier: MIT
"""From what a user types to a run, a case of it, and the record of one execution."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from testbed import paths
from testbed.errors import ConfigError, near_misses
from testbed.harness.records import RECORD_FILE, RUN_FILE, load_run
from testbed.harness.runfolder import LATEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.harness.records import CaseRecord, RunRecord

_SHOWN = 6
HOW_CASES = "testbed report RUN shows its cases; a part of a node id that only one has is enough"
_NO_RECORD = "only what brought a network up has a record; testbed report RUN says what there is"


def run_folders(root: Path | None = None) -> list[Path]:
    """List the folders of runs, oldest first: those with a ``run.json``, without links.

    Args:
        root: The folder of runs; None is the user's (``paths.runs_dir``).
    """
    found = [file.parent for file in (root or paths.runs_dir()).glob(f"*/{RUN_FILE}")]
    plain = (path for path in found if not path.is_symlink() and not path.name.startswith("."))
    return sorted(plain, key=lambda path: path.name)


def find_run(text: str | Path) -> Path:
    """Find the folder of a run.

    Args:
        text: A folder with a ``run.json`` (or that file), anywhere; the id of a run below the folder of runs, or a
            prefix that only one of them has; or ``latest``.

    Returns:
        Its folder, absolute, without links.

    Raises:
        ConfigError: There is none, or more than one; says which ones are near.
    """
    word = str(text)
    given = Path(word).expanduser()
    folder = given.parent if given.name == RUN_FILE else given
    if (folder / RUN_FILE).is_file():
        return folder.resolve()
    root = paths.runs_dir()
    if (root / word / RUN_FILE).is_file():  # an id, or the link `latest`
        return (root / word).resolve()
    known = run_folders(root)
    if word == LATEST and known:  # the link is a convenience that may be missing, or lead to a run that was removed
        return known[-1].resolve()
    close = [path for path in known if word and path.name.startswith(word)]
    if len(close) == 1:
        return close[0].resolve()
    if close:
        raise ConfigError(
            f"{word!r} is the beginning of {len(close)} runs in {root}: {_some([path.name for path in close])}",
            hint="type more of its name, or 'latest'",
        )
    if given.is_dir():
        raise ConfigError(f"no run in {folder}: {RUN_FILE} is missing", hint="testbed list runs")
    if not known:
        raise ConfigError(
            f"no run {word!r}: there is no folder of that name, and {root} has no runs", hint="testbed run makes one"
        )
    near = near_misses(word, [path.name for path in known[-_SHOWN:]] + [LATEST])
    raise ConfigError(
        f"no run {word!r}: neither a folder, nor the beginning of a run in {root}; {near}", hint="testbed list runs"
    )


def find_case(run: RunRecord, text: str) -> CaseRecord:
    """Find a case of a run.

    Args:
        run: The run.
        text: Its node id, its folder's name (``test_it.test_x``), ``SUITE/CASE``, or a part that only one case has.

    Raises:
        ConfigError: No case, or more than one; says which ones are near.
    """
    for name in (_nodeid, _case, _suite_case):
        exact = [case for case in run.cases if name(case) == text]
        if len(exact) == 1:
            return exact[0]
    close = [case for case in run.cases if text in case.nodeid or text in _suite_case(case)]
    if len(close) == 1:
        return close[0]
    if close:
        raise ConfigError(
            f"{text!r} is part of {len(close)} cases: {_some([case.nodeid for case in close])}",
            hint="type more of its node id",
        )
    names = {name(case) for case in run.cases for name in (_nodeid, _case, _test)}
    near = near_misses(text, names) if len(run.cases) > _SHOWN else near_misses(text, map(_nodeid, run.cases))
    if near.startswith("valid: "):
        near = f"it has {_some([case.nodeid for case in run.cases])}"
    raise ConfigError(f"the run has no case {text!r}; {near or 'it has no cases at all'}", hint=HOW_CASES)


def find_record(folder: Path, case: CaseRecord, execution: int | None = None) -> Path:
    """Find the folder of the record of one execution of a case.

    Args:
        folder: The run's folder.
        case: One of its cases.
        execution: Its number, from 1; None is the first one whose record was kept.

    Raises:
        ConfigError: There is no such execution, or its record was not kept or is gone.
    """
    kept = {entry.number: folder / entry.folder for entry in case.executions if entry.folder is not None}
    numbers = [entry.number for entry in case.executions]
    if not numbers:
        raise ConfigError(f"{case.nodeid} has no record: it is {case.verdict}{_because(case)}", hint=_NO_RECORD)
    if execution is not None and execution not in numbers:
        raise ConfigError(
            f"{case.nodeid} has no execution {execution}; it has {', '.join(map(str, numbers))}", hint="--execution N"
        )
    if execution is not None and execution not in kept:
        raise ConfigError(
            f"the record of execution {execution} of {case.nodeid} was not kept, as it is the same as the first one",
            hint="testbed run ... --keep keeps all",
        )
    if not kept:
        raise ConfigError(f"{case.nodeid} has no record: it is {case.verdict}{_because(case)}", hint=_NO_RECORD)
    found = kept[execution if execution is not None else min(kept)]
    if not (found / RECORD_FILE).is_file():
        raise ConfigError(f"the record {found} is gone: {RECORD_FILE} is missing", hint="was the run folder cut down?")
    return found


def open_run(text: str | Path) -> tuple[Path, RunRecord]:
    """Find and read a run: its folder and its record; raises as ``find_run`` and ``load_run`` do."""
    folder = find_run(text)
    return folder, load_run(folder)


def _nodeid(case: CaseRecord) -> str:
    return case.nodeid


def _case(case: CaseRecord) -> str:
    return case.case


def _suite_case(case: CaseRecord) -> str:
    return f"{case.suite}/{case.case}"


def _test(case: CaseRecord) -> str:
    return case.nodeid.rpartition("::")[2]


def _because(case: CaseRecord) -> str:
    return f" ({case.reason})" if case.reason else ""


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
