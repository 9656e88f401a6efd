# SPDX-License-Identifier: MIT
"""Progress of long work on stderr: a bar on a terminal, else lines; what it is doing, and how long is left."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed.cli.output import note, notes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Report(Protocol):
        """Takes how far a build has come."""

        def __call__(self, step: str, done: int, total: int) -> None:
            """Take the name of the step, and how many units of how many it has done (total 0: unknown)."""


_MOMENT_S = 0.5
_HEARTBEAT_S = 30.0
_SURE_SHARE = 0.1  # of a step that must be done before its speed says anything


class Clock:
    """How long a piece of work has taken, and how long is left.

    Args:
        expected_s: How long it took the last time, s; None where nobody knows.
    """

    def __init__(self, expected_s: float | None = None) -> None:
        self._begin = time.monotonic()
        self._step = ""
        self._step_begin = self._begin
        self._expected_s = expected_s

    @property
    def passed_s(self) -> float:
        """Give the time since the beginning, s."""
        return time.monotonic() - self._begin

    def left(self, step: str = "", done: int = 0, total: int = 0) -> str:
        """Say how long is left: by the speed of the step once that tells something, else by the last time's length.

        Returns:
            ``about 40 s left``; empty where nothing is known, or the last time's length is over.
        """
        from testbed.harness.durations import about

        if step != self._step:
            self._step, self._step_begin = step, time.monotonic()
        share = done / total if total else 0.0
        if share >= _SURE_SHARE:
            left_s = (time.monotonic() - self._step_begin) * (1 - share) / share
        else:
            left_s = (self._expected_s or 0.0) - self.passed_s
        return f"about {about(left_s)} left" if left_s > 0 else ""


@contextmanager
def progress(what: str, expected_s: float | None = None) -> Iterator[Report]:
    """Show how long work goes, until the block ends.

    Args:
        what: What is made, for the first column.
        expected_s: How long it took the last time, s; None where nobody knows.

    Yields:
        A function ``(step, done, total)``.
    """
    clock = Clock(expected_s)
    if notes().is_terminal:
        with _bar(what, clock) as report:
            yield report
    else:
        yield _lines(what, clock)


@contextmanager
def _bar(what: str, clock: Clock) -> Iterator[Report]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        *(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn()),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=notes(), transient=True) as bar:
        task = bar.add_task(what, total=None, count="", left="")

        def report(step: str, done: int, total: int) -> None:
            count = f"{done}/{total}" if total else ""
            left = clock.left(step, done, total)
            bar.update(task, description=f"{what}: {step}", completed=done, total=total or None, count=count, left=left)

        yield report


@contextmanager
def waiting(what: str, expected_s: float | None = None) -> Iterator[None]:
    """Say what is waited for, once it takes longer than a moment, and then now and again.

    Args:
        what: What it is: ``agent: compiling``.
        expected_s: How long it took the last time, s; None where nobody knows.
    """
    clock = Clock(expected_s)
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(what, clock, over), daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _tell(what: str, clock: Clock, over: threading.Event) -> None:
    pause_s = _MOMENT_S
    while not over.wait(pause_s):
        passed = f"{clock.passed_s:.0f} s so far" if pause_s == _HEARTBEAT_S else ""
        details = ", ".join(part for part in (passed, clock.left()) if part)
        note(f"{what} ...{f' ({details})' if details else ''}")
        pause_s = _HEARTBEAT_S


_UNKNOWN_STEPS = 100  # between two lines where nobody knows how many steps there will be


def _lines(what: str, clock: Clock) -> Report:
    last: tuple[str, int] | None = None

    def report(step: str, done: int, total: int) -> None:
        nonlocal last
        part = 10 * done // total if total else done // _UNKNOWN_STEPS
        if last != (step, part):
            last = (step, part)
            share = f" {done}/{total}" if total else f" {done}" if part else ""
            left = clock.left(step, done, total)
            note(f"{what}: {step}{share} ({clock.passed_s:.0f} s{f', {left}' if left else ''})")

    return report
