# SPDX-License-Identifier: MIT
"""``testbed`` alone: what to do next, from what is built and what the last run came to."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from testbed.cli.output import called
from testbed.errors import ConfigError
from testbed.verdict import Verdict, is_bad

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.harness.records import RunRecord

_SHOWN_BAD = 3
_WIDE = 60
Step = tuple[str, str]

_FIRST: tuple[Step, ...] = (
    ("testbed doctor", "what this machine can do, and what to do about the rest"),
    ("testbed make test", "build what is missing (minutes, once), run all suites, every case twice"),
)
_READY: tuple[Step, ...] = (
    ("testbed make test", "run all suites, every case twice"),
    ("testbed run mptcp", "run one of them; testbed list suites has their names"),
    ("testbed exec -S pair -- ping -c3 10.0.1.2", "any command in a fresh network"),
)


def advice() -> list[str]:
    """Give the lines that ``testbed`` alone prints."""
    from testbed.harness.lookup import run_folders

    folders = run_folders()
    if folders:
        return _lines(*_after_a_run(folders[-1]))
    if not _kernel_is_built():
        return _lines("Nothing is built yet. What next?", _FIRST)
    return _lines("The kernel is built, and there is no run below this folder yet. What next?", _READY)


def _after_a_run(folder: Path) -> tuple[str, tuple[Step, ...]]:
    """Look at the last run."""
    from testbed.harness.records import load_run
    from testbed.harness.rerun import NOT_REPLAYED, again_line, replays

    try:
        run = load_run(folder)
    except ConfigError as error:
        again = (("testbed make test", "start again"), ("testbed list runs", "the others"))
        return f"The last run cannot be read: {error.message}", again
    bad = [case for case in run.cases if is_bad(case.verdict)]
    if bad or run.problems:
        shown = tuple(
            (again_line(run, case, "latest"), f"{case.verdict}: the same again{', by its record' * replays(run, case)}")
            for case in bad[:_SHOWN_BAD]
            if case.folder is not None
        )
        report = (("testbed report latest --open", "the report: what failed, with packets and output"),)
        count = f"{len(bad)} of {len(run.cases)} cases" if bad else run.problems[0]
        return f"The last run failed ({count}; {folder.name}). What next?", (*report, *shown)
    if run.cases and all(case.suite in NOT_REPLAYED for case in run.cases):
        command = shlex.join(run.command)
        own: tuple[Step, ...] = (
            ("testbed report latest --open", "its output, packets and times"),
            (f"testbed packets latest {shlex.quote(run.cases[0].nodeid)}", "what passed on its links"),
        )
        return f"The last run is the record of {command} ({folder.name}). What next?", (*own, *_READY)
    if run.state != "finished":
        word = "was interrupted" if run.state == "interrupted" else "still runs, or was killed"
        return f"The last run {word} ({folder.name}). What next?", (*_again(run), *_READY[:1])
    passed = sum(case.verdict is Verdict.PASSED for case in run.cases)
    word = "is good" if passed else "shows nothing"
    text = f"The last run {word}: {passed} of {len(run.cases)} cases passed ({folder.name}). What next?"
    return text, (("testbed report latest --open", "the report"), *_READY)


def _again(run: RunRecord) -> tuple[Step, ...]:
    """Give the command of a run that was started by ``testbed``."""
    words = run.command[1:]
    if not run.command or not run.command[0].endswith(("testbed", "__main__.py")):
        return ()
    return ((shlex.join(["testbed", *words]), "the same again"),)


def _kernel_is_built() -> bool:
    from testbed.cli.former import build_s

    return build_s("linux") is not None


def _lines(headline: str, steps: tuple[Step, ...]) -> list[str]:
    shown = [(called(command), called(what)) for command, what in (*steps, ("testbed --help", "all commands"))]
    width = max(len(command) for command, _ in shown if len(command) <= _WIDE)
    lines = []
    for command, what in shown:  # a command that is longer than its column has what it does below
        lines += (
            [f"  {command.ljust(width)}  {what}"]
            if len(command) <= width
            else [f"  {command}", f"  {'':{width}}  {what}"]
        )
    return [headline, "", *lines]
