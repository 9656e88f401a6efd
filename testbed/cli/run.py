# SPDX-License-Identifier: MIT
"""``testbed run``: run suites or single tests, with any words of pytest after ``--``."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from testbed.cli import options
from testbed.cli.make.library import set_up
from testbed.cli.output import called, note
from testbed.cli.publish import Publish
from testbed.errors import ExitCode

if TYPE_CHECKING:
    from testbed.harness.records import CaseRecord, RunRecord


def run(
    what: options.SuiteArguments = None,
    *,
    workers: options.Workers = None,
    seed: options.Seed = 1,
    repeat: options.Repeat = None,
    backend: options.Backend = "timetravel",
    switch: options.Switch = None,
    libos: options.Libos = "linux",
    topo: options.Topo = None,
    keep: options.Keep = False,
    run_dir: options.RunDir = None,
    stall_s: options.Stall = 30,
    wall_limit_s: options.WallLimit = 900,
    spin_ms: options.SpinMs = None,
    no_captures: options.NoCaptures = False,
    require: options.Require = None,
    summary: options.Summary = None,
    badges: options.Badges = None,
) -> None:
    """Run suites, test files or single tests; without a name, all suites of the current folder, else testbed's."""
    from testbed.backends.registry import switch_kind
    from testbed.harness.plan import resolve, run_suites

    names, pytest_words = split(what or ())
    paths = resolve(names)  # refuses an unknown name before anything is built
    network_file = options.network_file(topo)
    switch_kind(switch, backend)
    publish = Publish.checked(summary, badges)
    set_up(backend, libos, paths)
    cases: list[CaseRecord] = []

    def ended(run: "RunRecord", folder: Path) -> None:
        cases.extend(run.cases)
        publish(run, folder)

    code = run_suites(
        names,
        workers=options.workers(workers, backend),
        seed=seed,
        repeat=repeat,
        backend=backend,
        libos=libos,
        topo=network_file,
        switch=switch,
        keep=keep,
        run_dir=run_dir,
        pytest_args=[
            *options.rare(stall_s, wall_limit_s, spin_ms, require, no_captures=no_captures),
            *pytest_words,
        ],
        around=publish.around(),
        ended=ended,
    )
    tell(int(code), names, pytest_words, cases)
    raise typer.Exit(int(code))


def tell(code: int, names: Sequence[str], pytest_words: Sequence[str], cases: "Sequence[CaseRecord]") -> None:
    """Say of a run that did nothing why, and what to type: pytest's own words name neither.

    Args:
        code: Its exit code.
        names: What was asked for; none is all suites.
        pytest_words: What followed ``--``.
        cases: What it had.
    """
    given = shlex.join(pytest_words)
    if code == ExitCode.USAGE and given and not cases:
        note(f"hint: {given} went to pytest as it stands; python -m pytest --help lists its words, testbed run -h ours")
    elif code == ExitCode.NOTHING_RAN and not cases:
        what = ", ".join(names) or "all suites"
        note(f"error: nothing was run: {what}{f' with {given}' if given else ''} selects no case", style="red")
        note(called(f"hint: testbed list suites; testbed run {shlex.join(names)} -- --collect-only lists the cases"))
    elif code == ExitCode.NOTHING_RAN:
        note(f"error: nothing was run: all {len(cases)} cases were skipped; the reasons are above", style="red")
        note(called("hint: testbed doctor says what this machine lacks"))


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell suites from words that are for pytest: those from the first that begins with ``-``."""
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    return list(words[:first]), list(words[first:])
