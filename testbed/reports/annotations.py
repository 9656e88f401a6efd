# SPDX-License-Identifier: MIT
"""What failed, shown by GitHub at its line of the source; and words of tests that must not be taken for commands.

A job of GitHub Actions reads commands for its runner from the output of every step: lines of the form
``::error file=F,line=N::TEXT``. Source: GitHub's documentation, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.harness.rerun import run_line
from testbed.paths import package_dir
from testbed.reports.evidence import assertion, place
from testbed.reports.text import plain, shortened
from testbed.verdict import is_bad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from testbed.harness.records import CaseRecord, RunRecord

ACTIVE = "GITHUB_ACTIONS"
WORKSPACE = "GITHUB_WORKSPACE"
SHOWN = 10
"""GitHub shows ten errors of a step, and drops the rest without a word."""
TEXT_LIMIT = 2_000
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def active() -> bool:
    """Say whether a runner of GitHub reads what we print."""
    return os.environ.get(ACTIVE) == "true"


def render(run: RunRecord) -> list[str]:
    """Write one command for each failure, for the first nine of more than ten; the last one then counts the rest."""
    bad = [case for case in run.cases if is_bad(case.verdict)]
    commands = [_error(problem, {"title": "testbed"}) for problem in run.problems]
    commands += [_case(run, case) for case in bad]
    if len(commands) > SHOWN:
        left = len(commands) - SHOWN + 1
        commands[SHOWN - 1 :] = [_error(f"... and {left} more: see the job's summary", {"title": "testbed"})]
    return commands


@contextmanager
def unheard(write: Callable[[str], object]) -> Iterator[None]:
    """Have the runner take nothing for a command meanwhile: a test's output is a stranger's.

    Args:
        write: Prints a line.
    """
    token = secrets.token_hex(16)  # nobody who is listened to can guess it
    write(f"::stop-commands::{token}")
    try:
        yield
    finally:
        write(f"::{token}::")


def _case(run: RunRecord, case: CaseRecord) -> str:
    file, line = place(case)
    found = in_workspace(file, run.environment.get("rootdir"))
    properties = {"title": f"{case.verdict}: {case.nodeid.rpartition('/')[2]}"}
    if found is not None:
        properties["file"] = found
        if line is not None:
            properties["line"] = str(line)
    where = "" if found is not None else f"{file}{'' if line is None else f':{line}'}: "
    text = shortened(assertion(case), TEXT_LIMIT)
    return _error(f"{where}{text}\n\nreplay: {run_line(run, case)}", properties)


def in_workspace(file: str, rootdir: str | None) -> str | None:
    """Give a file as the repository has it; None where it is none of the repository's.

    Args:
        file: As pytest names it: from its root folder.
        rootdir: That folder; None where nobody knows.
    """
    workspace = Path(os.environ.get(WORKSPACE) or Path.cwd()).resolve()
    for base in (Path(rootdir) if rootdir else Path.cwd(), workspace, package_dir().parent):
        path = (base / file).resolve()
        if path.is_file():
            return str(path.relative_to(workspace)) if path.is_relative_to(workspace) else None
    return None


def _error(text: str, properties: Mapping[str, str]) -> str:
    words = ",".join(f"{name}={plain(value).translate(_PROPERTY)}" for name, value in properties.items())
    return f"::error {words}::{plain(text).translate(_DATA)}"
