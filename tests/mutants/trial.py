# SPDX-License-Identifier: MIT
"""Trials: suites run against a given kernel, and what is said of a mutant after them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import ExitCode, InternalError
from testbed.harness.records import load_run
from testbed.verdict import Verdict, is_bad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.harness.records import CaseRecord, RunRecord
    from tests.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
WALL_LIMIT_S = 120  # of one network: a mutant may well wait for ever
_LAST_LINES = 15
_NO_SESSION = (
    ExitCode.INTERRUPTED_PYTEST,
    ExitCode.USAGE,
)  # nothing collected, no such file


@dataclass(frozen=True)
class Finding:
    """What came of one mutant.

    Args:
        mutant: Which.
        case: The first case that failed, as reports name it; empty where none did.
        problem: Why the mutant does not count as found; empty where it does.
    """

    mutant: Mutant
    case: str = ""
    problem: str = ""


def run_cases(paths: Sequence[str], kernel: Path, folder: Path, *, first_failure: bool, workers: int = 0) -> RunRecord:
    """Run cases once each on a kernel.

    Args:
        paths: Files or node ids, below the checkout.
        kernel: Its program.
        folder: Of the run: must not exist; pytest's words go to ``folder.log``.
        first_failure: Stop at the first case that fails.
        workers: Cases at a time; 0 runs them in order.

    Raises:
        InternalError: pytest made no run, or could not collect; with its last words.
    """
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--repeat", "1", "--run-dir", str(folder)]
    argv += ["--libos", str(kernel), "--wall-limit", str(WALL_LIMIT_S), "-n", str(workers)]
    argv += ["-x"] if first_failure else []
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    with log.open("w") as stream:
        code = subprocess.run(
            [*argv, *paths], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, check=False
        ).returncode
    if code in _NO_SESSION or not (folder / "run.json").is_file():
        words = "\n".join(log.read_text().splitlines()[-_LAST_LINES:])
        raise InternalError(f"pytest could not run {' '.join(paths)} (exit code {code}); its last words:\n{words}")
    return load_run(folder)


def passed(run: RunRecord) -> frozenset[str]:
    """Give the node ids of the cases that passed."""
    return frozenset(case.nodeid for case in run.cases if case.verdict is Verdict.PASSED)


def judge(mutant: Mutant, run: RunRecord, sound: frozenset[str]) -> Finding:
    """Say whether a mutant was found: by an assertion of a case that passes on the kernel without it.

    Args:
        mutant: Which.
        run: Its trial.
        sound: Node ids of the cases that passed without it.
    """
    bad = [case for case in run.cases if is_bad(case.verdict)]
    if run.problems:
        return Finding(mutant, problem=f"the run has problems of its own: {run.problems[0]}")
    if not bad:
        count = len(passed(run))
        if not count:
            return Finding(mutant, problem="not one case ran")
        return Finding(mutant, problem=f"survived: {count} cases passed ({' '.join(mutant.paths)})")
    first = bad[0]
    name = first.case
    if first.nodeid not in sound:
        return Finding(mutant, name, f"{name} does not pass without the mutant either")
    if not (first.verdict is Verdict.FAILED or _lost_patience(first)):
        return Finding(mutant, name, f"{name} ended as {first.verdict}, not by an assertion: {first.reason}")
    return Finding(mutant, name)


def _lost_patience(case: CaseRecord) -> bool:
    """Say whether a case waited for as long as it wanted to, by the network's clock: that is an assertion, too."""
    return case.verdict is Verdict.TIMED_OUT and "wall time" not in case.reason


def unsound(run: RunRecord) -> list[CaseRecord]:
    """Give the cases that are bad on the kernel without any mutant."""
    return [case for case in run.cases if is_bad(case.verdict)]
