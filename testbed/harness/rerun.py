# SPDX-License-Identifier: MIT
"""The command that executes a case again, the same: one way of writing it for terminal, page, CI and summary."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.harness.records import CaseRecord, RunRecord

NOT_REPLAYED = frozenset({"exec", "shell"})
"""Suites that are no suites but commands: their records name no test that could be executed again."""
IN_VIRTUAL_TIME = "timetravel"
"""The backend whose clock is virtual, and whose records can be replayed; a backend that this testbed does not know
may be another one, which ``replay`` decides when it is asked."""
IN_REAL_TIME = frozenset({"netns", "mininet", "cloudlab"})
OWN = ("--topo", "--switch")
"""Those of the rarer options that ``testbed run`` knows itself; each has a value."""


def rerun_line(
    nodeid: str,
    *,
    seed: int,
    repeat: int,
    backend: str,
    libos: str,
    options: Sequence[str] = (),
    program: str | None = "testbed",
    experiment: Sequence[str] | None = None,
) -> str:
    """Write the command that executes one case again.

    Args:
        nodeid: What pytest calls it.
        seed: Of the run.
        repeat: Executions of the case.
        backend: Where networks are brought up.
        libos: The flavor under test, or the folder of an artifact.
        options: Options beyond these that decide what a case does, as ``RunRecord.options`` has them.
        program: What ``testbed`` is called here; None is a line for plain ``pytest``.
        experiment: The words of ``testbed cloudlab run`` with its nodes, which belong to the command; None is no
            experiment.
    """
    if experiment is not None:
        program = program or "testbed"
        words = [program, *experiment, nodeid, "--seed", str(seed)]
    else:
        words = ["pytest"] if program is None else [program, "run"]
        words += [nodeid, "--seed", str(seed), "--repeat", str(repeat)]
        words += ["--backend", backend] if backend != IN_VIRTUAL_TIME else []
    words += ["--libos", libos] if libos != "linux" else []
    rest = list(options)
    for option in OWN:  # all others are pytest's
        if option in rest:
            at = rest.index(option)
            words += rest[at : at + 2]
            del rest[at : at + 2]
    if rest:
        words += rest if program is None else ["--", *rest]
    return shlex.join(words)


def run_line(run: RunRecord, case: CaseRecord) -> str:
    """Write the command that executes a case of a recorded run again; of a record of a command, that command."""
    if case.suite in NOT_REPLAYED and run.command:
        return shlex.join(run.command)
    return rerun_line(
        case.nodeid,
        seed=run.seed,
        repeat=run.repeat,
        backend=run.backend,
        libos=run.libos,
        options=run.options,
        experiment=run.environment.get("experiment"),
    )


def again_line(run: RunRecord, case: CaseRecord, run_word: str, case_word: str | None = None) -> str:
    """Write the best command there is for a record: ``testbed replay``, or what made it where that cannot be replayed.

    Args:
        run: The run.
        case: The case of it whose record it is.
        run_word: The run, as ``replay`` takes it; quoted for a shell.
        case_word: The case; default its node id.
    """
    if not replays(run, case):
        return run_line(run, case)
    return f"testbed replay {run_word} {shlex.quote(case_word or case.nodeid)}"


def replays(run: RunRecord, case: CaseRecord) -> bool:
    """Say whether ``testbed replay`` takes a case of a run: a test, in virtual time."""
    return case.suite not in NOT_REPLAYED and run.backend not in IN_REAL_TIME
