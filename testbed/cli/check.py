# SPDX-License-Identifier: MIT
"""``testbed check``: lint, types, Rust checks, testbed's own tests; all steps run, failures come at the end."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.checkout import checkout
from testbed.cli.names import known
from testbed.cli.output import line, note
from testbed.errors import ConfigError, ExitCode

_SUMMARY = re.compile(r"^(?:=+ )?(\d+ (?:passed|failed|error|skipped|xfailed|deselected).* in [0-9.]+s.*?)(?: =+)?$")


_HUNG_S = 600  # no test takes a tenth of it; one that hangs fails with its stack, the others still run


@dataclass(frozen=True)
class Step:
    """One check: its name on the command line, what it runs in the checkout, and whether only if it is named."""

    name: str
    argv: tuple[str, ...]
    folder: str = "."
    by_name: bool = False


@dataclass(frozen=True)
class Outcome:
    """What one step came to: its exit code, its length in seconds, and pytest's closing line where it had one."""

    step: Step
    code: int
    seconds: float
    summary: str | None


def steps() -> tuple[Step, ...]:
    """Give all checks, the quickest first."""
    python = (sys.executable, "-m")
    cargo_folder, libos_folder = "testbed/agent", "testbed/libos"
    clippy, all_crates = ("cargo", "clippy", "--quiet", "--all-targets"), ("--workspace", "--locked")
    return (
        Step("shellcheck", ("shellcheck", "testbed.sh", ".ci/run")),
        Step("ruff", (*python, "ruff", "check", ".")),
        Step("format", (*python, "ruff", "format", "--check", ".")),
        Step("mypy", (*python, "mypy")),
        Step("cargo-fmt", ("cargo", "fmt", "--check"), cargo_folder),
        Step("clippy", (*clippy, "--", "-D", "warnings"), cargo_folder),
        Step("cargo-test", ("cargo", "test", "--quiet"), cargo_folder),
        Step("libos-fmt", ("cargo", "fmt", "--all", "--check"), libos_folder),
        Step("libos-clippy", (*clippy, *all_crates, "--", "-D", "warnings"), libos_folder),
        Step("libos-test", ("cargo", "test", "--quiet", *all_crates), libos_folder),
        Step("doc", (*python, "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-c", "doc", ".", "build/doc")),
        # Before the tests, and seen: else the first test that boots a guest builds its kernel in silence.
        Step("build", (*python, "testbed", "build")),
        Step("pytest", (*python, "pytest", "tests", "-q", "-n", "2", "--dist", "worksteal", f"--timeout={_HUNG_S}")),
        Step("sanitizers", (*python, "tests.sanitizers"), by_name=True),
        seeds_step("", ()),
        Step("kernels", (*python, "pytest", "tests/libos", "tests/mutants", "-q", "-m", "build"), by_name=True),
    )


def _complete(incomplete: str) -> list[str]:
    return [step.name for step in steps() if step.name.startswith(incomplete)]


def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these steps (or mutants).", autocompletion=_complete)
    ] = None,
    *,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Plant faults in the kernel; the suites must find each. Minutes.")
    ] = False,
    parts: Annotated[
        list[str] | None, typer.Option("-k", metavar="PART", help="With --mutants: only those with this in their name.")
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="1-20", help="Of the step seeds: which.")] = "",
    suites: Annotated[
        list[str] | None, typer.Option("--suite", "-s", metavar="SUITE", help="Of the step seeds: only these suites.")
    ] = None,
) -> None:
    """Run lint, types, Rust checks and testbed's own tests, all of them even after a failure."""
    if parts and not mutants:
        raise ConfigError("-k chooses mutants", hint="testbed check --mutants -k PART")
    if (seeds or suites) and (mutants or names != ["seeds"]):
        raise ConfigError("--seeds and --suite are for the step seeds alone", hint="testbed check seeds --seeds 1-5")
    root = checkout()
    if mutants:
        chosen = [mutation(names or [], parts or [])]
    elif seeds or suites:
        chosen = [seeds_step(seeds, suites or [])]
    else:
        chosen = [_known_step(name) for name in names or [step.name for step in steps() if not step.by_name]]
    outcomes = _run_all(chosen, root)
    _report(outcomes)
    if any(outcome.code for outcome in outcomes):
        raise typer.Exit(int(ExitCode.FAILED))


def mutation(names: Sequence[str], parts: Sequence[str]) -> Step:
    """Give the check of the suites: with faults planted in the kernel, see ``doc/mutants.md``.

    Args:
        names: Only these mutants.
        parts: Only mutants that have one of these in their name.
    """
    words = [word for part in parts for word in ("-k", part)]
    return Step("mutants", (sys.executable, "-m", "tests.mutants", *words, "--", *names))


def seeds_step(seeds: str, suites: Sequence[str]) -> Step:
    """Give the step that runs the suites of the kernel once with each of many seeds, see ``doc/determinism.md``.

    Args:
        seeds: Which, as ``1-5,8``; empty is 1 to 20.
        suites: Only these.
    """
    words = [*(["--seeds", seeds] if seeds else []), *(word for suite in suites for word in ("-s", suite))]
    return Step("seeds", (sys.executable, "-m", "tests.seeds", *words), by_name=True)


def _known_step(name: str) -> Step:
    """Give the step of this name; an unknown one is an error that names near ones."""
    every = {step.name: step for step in steps()}
    return every[known("check", name, every)]


def _run_all(chosen: Sequence[Step], root: Path) -> list[Outcome]:
    """Run the steps; before each say how long those that are left took the last time, where all of that is known."""
    from testbed.harness.durations import Durations, about

    lengths = Durations.load()
    outcomes = []
    for number, step in enumerate(chosen):
        known = [lengths.get(f"check {later.name}") for later in chosen[number:]]
        left_s = sum(length or 0.0 for length in known)
        forecast = f" (step {number + 1} of {len(chosen)}, about {about(left_s)} left)" if None not in known else ""
        outcomes.append(_run(step, root, forecast))
        if outcomes[-1].code == 0:  # a failure may end early
            lengths.put(f"check {step.name}", outcomes[-1].seconds)
    lengths.save()
    return outcomes


def _run(step: Step, root: Path, forecast: str) -> Outcome:
    """Run one step in the checkout, its output shown as it comes."""
    line(f"== {step.name}: {_shown(step.argv)}")
    if forecast:
        note(f"  {forecast}")
    begin = time.monotonic()
    program = shutil.which(step.argv[0])
    if program is None:
        line(f"{step.argv[0]} is not installed: ./testbed.sh installs what is missing")
        return Outcome(step, int(ExitCode.CANNOT), 0.0, None)
    summary = None
    process = subprocess.Popen(
        [program, *step.argv[1:]],
        cwd=root / step.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        for text in process.stdout or ():
            line(text.rstrip("\n"))
            found = _SUMMARY.match(text.strip())
            summary = found[1] if found else summary
    seconds = time.monotonic() - begin
    note(f"   {step.name}: {'ok' if process.returncode == 0 else f'exit {process.returncode}'} in {seconds:.1f} s")
    return Outcome(step, process.returncode, seconds, summary)


def _shown(argv: Sequence[str]) -> str:
    return " ".join(("python", *argv[1:]) if argv[0] == sys.executable else argv)


def _report(outcomes: Sequence[Outcome]) -> None:
    """Print one line per step, the failed steps by name, and last of all pytest's counts on a line of their own."""
    line("")
    for outcome in outcomes:
        line(f"{'ok  ' if outcome.code == 0 else 'FAIL'}  {outcome.step.name:<12}{outcome.seconds:7.1f} s")
    failed = [outcome.step.name for outcome in outcomes if outcome.code]
    total = sum(outcome.seconds for outcome in outcomes)
    word = f"failed: {', '.join(failed)}" if failed else "all passed"
    line(f"{len(outcomes)} checks in {total:.0f} s, {word}")
    for summary in [outcome.summary for outcome in outcomes if outcome.summary]:
        line(summary)
