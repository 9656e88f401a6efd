# SPDX-License-Identifier: MIT
"""The mutation check: builds each mutant while the one before is tried, says how far it is, and writes the page."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from testbed.errors import BuildError, ExitCode, TestbedError
from tests.mutants import page
from tests.mutants.kernels import BASE
from tests.mutants.trial import Finding, judge, passed, run_cases, unsound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from testbed.libos.linux.progress import BuildProgress, Progress
    from tests.mutants.mutant import Mutant

    class Builder(Protocol):
        """What kernels come from: :class:`tests.mutants.kernels.Workshop`."""

        runs: Path

        def opened(self) -> AbstractContextManager[None]:
            """Hold it."""

        def build(self, name: str, faults: Sequence[Path], progress: Progress = ...) -> Path:
            """Give the program of a kernel with these patches."""

        def discard(self, program: Path) -> None:
            """Take a program back."""


WORKERS = 2  # of the run on the sound kernel; a mutant's cases go one by one, so that "first" means something


class Check:
    """One run of the mutation check.

    Args:
        mutants: What is tried, in this order.
        builder: Where the kernels come from.
        say: Takes one line of progress.
    """

    def __init__(self, mutants: Sequence[Mutant], builder: Builder, say: Callable[[str], None]) -> None:
        self.mutants = mutants
        self.builder = builder
        self.say = say
        self.seconds: dict[str, float] = {}

    def run(self) -> list[Finding]:
        """Try all mutants, after their cases on the sound kernel.

        Raises:
            BuildError: The sound kernel does not build.
            InternalError: pytest gave nothing to judge.
        """
        with self.builder.opened():
            self.say("base: building the kernel without a fault")
            base = self.builder.build(BASE, [], self._follow())
            with ThreadPoolExecutor(max_workers=1) as pool:
                kernels = self._kernels(pool)
                return self._try_all(base, kernels)

    def _try_all(self, base: Path, kernels: Iterator[tuple[Mutant, Path | BuildError, float]]) -> list[Finding]:
        """Run the cases on the sound kernel, then each mutant's."""
        sound = self._sound(base)
        began = time.monotonic()
        findings: list[Finding] = []
        for mutant, kernel, build_s in kernels:
            done = len(findings)
            self.say(f"[{done + 1}/{len(self.mutants)}] {mutant.name}: {mutant.change}{self._left(began, done)}")
            finding = self._try(mutant, kernel, build_s, sound)
            findings.append(finding)
            word = f"FAIL: {finding.problem}" if finding.problem else f"found by {mutant.suite}: {finding.case}"
            self.say(f"    {word} ({self.seconds[mutant.name]:.0f} s)")
        return findings

    def _sound(self, base: Path) -> frozenset[str]:
        """Run all cases on the sound kernel; give those that pass."""
        chosen = sorted({path for mutant in self.mutants for path in mutant.paths})
        self.say(f"base: {len(chosen)} files of the suites on the kernel without a fault")
        run = run_cases(chosen, base, self.builder.runs / BASE, first_failure=False, workers=WORKERS)
        self.builder.discard(base)
        for case in unsound(run):
            self.say(f"    {case.nodeid} is {case.verdict} without any fault: {case.reason}")
        self.say(f"base: {len(passed(run))} of {len(run.cases)} cases passed in {run.wall_s:.0f} s")
        return passed(run)

    def _kernels(self, pool: ThreadPoolExecutor) -> Iterator[tuple[Mutant, Path | BuildError, float]]:
        """Build the mutants, one ahead of what is taken; give each with its kernel, or why there is none."""
        waiting = [(mutant, pool.submit(self._build, mutant)) for mutant in self.mutants[:1]]
        for number, _ in enumerate(self.mutants, start=1):
            mutant, future = waiting.pop()
            kernel, build_s = future.result()
            waiting = [
                (following, pool.submit(self._build, following)) for following in self.mutants[number : number + 1]
            ]
            yield mutant, kernel, build_s

    def _build(self, mutant: Mutant) -> tuple[Path | BuildError, float]:
        began = time.monotonic()
        try:
            kernel: Path | BuildError = self.builder.build(mutant.name, [mutant.patch])
        except BuildError as error:
            kernel = error
        return kernel, time.monotonic() - began

    def _try(self, mutant: Mutant, kernel: Path | BuildError, build_s: float, sound: frozenset[str]) -> Finding:
        """Run a mutant's cases until the first failure."""
        self.seconds[mutant.name] = build_s
        if isinstance(kernel, BuildError):
            return Finding(mutant, problem=f"no kernel: {kernel.message}")
        began = time.monotonic()
        try:
            run = run_cases(mutant.paths, kernel, self.builder.runs / mutant.name, first_failure=True)
        except TestbedError as error:
            return Finding(mutant, problem=error.message)
        finally:
            self.builder.discard(kernel)
            self.seconds[mutant.name] += time.monotonic() - began
        return judge(mutant, run, sound)

    def _left(self, began: float, done: int) -> str:
        """Say how long the rest will take, once a mutant was tried."""
        if not done:
            return ""
        left_s = (time.monotonic() - began) / done * (len(self.mutants) - done)
        return f" (about {max(1, round(left_s / 60))} min left)"

    def _follow(self) -> Progress:
        """Give a taker of progress that says every tenth of a build."""
        last = 0

        def follow(state: BuildProgress) -> None:
            nonlocal last
            tenth = 10 * state.done // (state.total or state.done or 1)
            if tenth != last and state.done > 100:  # few objects: not worth a word
                last = tenth
                self.say(f"base: {state.done} of {state.total} objects")

        return follow


def report(check: Check, findings: Sequence[Finding], every: Sequence[Mutant], path: Path = page.PAGE) -> ExitCode:
    """Write the page of what was found, and say what was not.

    Args:
        check: The check that made the findings.
        findings: One per mutant that was tried.
        every: All mutants that there are.
        path: The page.
    """
    found = {
        finding.mutant.name: page.Row(
            finding.mutant.name,
            finding.mutant.change,
            finding.mutant.suite,
            finding.case,
            round(check.seconds[finding.mutant.name]),
        )
        for finding in findings
        if not finding.problem
    }
    if page.update(found, [mutant.name for mutant in every], path):
        check.say(f"{path.name} is brought up to date")
    lost = [finding for finding in findings if finding.problem]
    for finding in lost:
        check.say(f"FAIL {finding.mutant.name}: {finding.problem}")
    check.say(f"{len(findings)} mutants, {len(found)} found, {len(lost)} not")
    return ExitCode.FAILED if lost else ExitCode.OK
