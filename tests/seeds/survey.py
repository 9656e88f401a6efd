# SPDX-License-Identifier: MIT
"""A survey: every suite of the kernel once with every seed, and a table of what came of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import ConfigError, ExitCode, InternalError, near_misses
from testbed.harness.records import load_run
from testbed.verdict import Verdict, exit_code, is_bad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.harness.records import RunRecord

ROOT = Path(__file__).resolve().parents[2]
SUITES = ("netlink-socket", "mptcp", "cradle", "ip6-tunnels", "process-manager", "transport")
_LAST_LINES = 15


@dataclass(frozen=True)
class Cell:
    """What one suite came to with one seed.

    Attributes:
        seed: The seed.
        suite: The suite's name.
        counts: How many cases have each verdict.
        bad: The cases with a bad verdict, as ``suite case: reason``.
        wall_s: How long it took, s of wall time.
    """

    seed: int
    suite: str
    counts: Counter[Verdict]
    bad: tuple[str, ...]
    wall_s: float

    @classmethod
    def of(cls, seed: int, suite: str, run: RunRecord, wall_s: float) -> Cell:
        """Count the cases of a run."""
        bad = tuple(f"{case.suite} {case.case}: {case.reason}" for case in run.cases if is_bad(case.verdict))
        return cls(seed, suite, Counter(case.verdict for case in run.cases), bad, wall_s)

    @property
    def good(self) -> bool:
        """Whether something passed, nothing is bad, and nothing was left out."""
        return exit_code(self.counts) is ExitCode.OK

    @property
    def words(self) -> str:
        """The counts in words, the passed ones first: ``148`` or ``147, 1 failed``."""
        others = [f"{count} {verdict}" for verdict, count in self.counts.items() if verdict is not Verdict.PASSED]
        return ", ".join([str(self.counts[Verdict.PASSED]), *sorted(others)])


@dataclass
class Survey:
    """All suites with all seeds.

    Args:
        seeds: In this order.
        suites: Their names; with each seed in this order.
        one: Runs a suite with a seed.
        say: Takes one line of progress.
    """

    seeds: Sequence[int]
    suites: Sequence[str]
    one: Callable[[int, str], RunRecord]
    say: Callable[[str], None]
    cells: list[Cell] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for name in self.suites:
            if name not in SUITES:
                raise ConfigError(f"{name!r} is no suite of the kernel; {near_misses(name, SUITES)}")

    def run(self) -> list[Cell]:
        """Run them; a failure stops nothing.

        Raises:
            InternalError: pytest gave nothing to judge.
        """
        total = len(self.seeds) * len(self.suites)
        for seed in self.seeds:
            for suite in self.suites:
                began = time.monotonic()
                run = self.one(seed, suite)
                cell = Cell.of(seed, suite, run, time.monotonic() - began)
                self.cells.append(cell)
                self.say(f"[{len(self.cells)}/{total}] seed {seed}, {suite}: {cell.words} ({cell.wall_s:.0f} s)")
                for line in cell.bad:
                    self.say(f"    {line}")
        return self.cells

    @property
    def exit_code(self) -> ExitCode:
        """0 only if every suite was run with every seed, and all are good."""
        whole = len(self.cells) == len(self.seeds) * len(self.suites) > 0
        return ExitCode.OK if whole and all(cell.good for cell in self.cells) else ExitCode.FAILED


def run_suite(seed: int, suite: str, workers: int, folder: Path) -> RunRecord:
    """Run a suite once with a seed.

    Args:
        seed: The seed.
        suite: Its name.
        workers: Cases at a time.
        folder: Where the run gets a folder of its own.

    Raises:
        InternalError: There is no run, with pytest's last words.
    """
    own = folder / f"{suite}-{seed}"
    argv = [sys.executable, "-m", "testbed", "run", suite, "--seed", str(seed), "--repeat", "1", "-n", str(workers)]
    done = subprocess.run(
        [*argv, "--run-dir", str(own)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if not (own / "run.json").is_file():
        words = "\n".join(done.stdout.splitlines()[-_LAST_LINES:])
        raise InternalError(f"there is no run of {suite} with seed {seed} (exit code {done.returncode}):\n{words}")
    return load_run(own)


def parse_seeds(text: str) -> list[int]:
    """Read seeds: numbers and ranges with both ends, such as ``1-5,8``.

    Raises:
        ConfigError: It is something else.
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
            raise ConfigError(f"--seeds {text}: wanted numbers and ranges, found {part!r}", hint="--seeds 1-5,8")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def table(cells: Sequence[Cell]) -> list[str]:
    """Give a Markdown table: a row per seed, a column per suite, in each how many passed and what else there was."""
    suites = list(dict.fromkeys(cell.suite for cell in cells))
    found = {(cell.seed, cell.suite): cell.words for cell in cells}
    lines = [f"| seed | {' | '.join(suites)} |", f"| --- |{' --- |' * len(suites)}"]
    for seed in dict.fromkeys(cell.seed for cell in cells):
        row = " | ".join(found.get((seed, suite), "") for suite in suites)
        lines.append(f"| {seed} | {row} |")
    return lines
