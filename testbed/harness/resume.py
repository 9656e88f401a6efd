# SPDX-License-Identifier: MIT
"""A run that was cut short, and the one that completes it: finished cases are kept, with their Records."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from testbed.errors import ExitCode
from testbed.harness.environment import under_test
from testbed.reports import html, junit
from testbed.verdict import Verdict, exit_code, worst

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.harness.records import CaseRecord, RunRecord

_GOOD = frozenset({ExitCode.OK, ExitCode.NOTHING_RAN})
_AGAIN = frozenset({Verdict.ERROR, Verdict.NOT_RUN})


def finished(run: RunRecord) -> list[CaseRecord]:
    """Give the cases that need not run again: all but those that never ran, or met an error of testbed or of a node."""
    return [case for case in run.cases if case.verdict not in _AGAIN]


def merge(run: RunRecord, folder: Path, kept: list[CaseRecord], source: Path) -> int:
    """Put finished cases of an earlier run into a later one, in front, and write its files again.

    Args:
        run: The later run; has ended.
        folder: Its folder.
        kept: Cases of the earlier run.
        source: The earlier run's folder; it stays as it is.

    Returns:
        The exit code of both together; of a later run that was interrupted, its own.
    """
    done = {case.nodeid for case in run.cases}
    taken = [case for case in kept if case.nodeid not in done]
    for case in taken:
        if case.folder and (source / case.folder).is_dir():
            shutil.copytree(source / case.folder, folder / case.folder, copy_function=_link, dirs_exist_ok=True)
    run.cases = [*taken, *run.cases]
    verdicts = [case.verdict for case in run.cases] + [Verdict.ERROR] * bool(run.problems)
    run.verdict = worst(verdicts)
    run.environment |= under_test(run.cases)
    code = int(exit_code(verdicts))
    if run.exit_code is not None and (run.state == "interrupted" or (code in _GOOD and run.exit_code not in _GOOD)):
        code = run.exit_code  # Ctrl-C, or pytest found something wrong beside the cases
    run.exit_code = code
    run.save(folder)
    junit.write(run, folder)
    html.write(folder, every_packet=False)
    return code


def _link(source: str, target: str) -> None:
    """Share a file where both runs are on one file system; copy it elsewhere."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
