# SPDX-License-Identifier: MIT
"""Progress of a build on stderr: a bar on a terminal, else a line whenever the step changes or a tenth is done."""

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


@contextmanager
def progress(what: str) -> Iterator[Report]:
    """Show how a build goes, until the block ends.

    Args:
        what: What is built, for the first column.

    Yields:
        A function ``(step, done, total)``.
    """
    if notes().is_terminal:
        with _bar(what) as report:
            yield report
    else:
        yield _lines(what)


@contextmanager
def _bar(what: str) -> Iterator[Report]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn())
    with Progress(*columns, console=notes(), transient=True) as bar:
        task = bar.add_task(what, total=None, count="")

        def report(step: str, done: int, total: int) -> None:
            count = f"{done}/{total}" if total else ""
            bar.update(task, description=f"{what}: {step}", completed=done, total=total or None, count=count)

        yield report


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what is waited for, but only when it takes longer than a moment."""
    timer = threading.Timer(_MOMENT_S, note, [f"{what} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _lines(what: str) -> Report:
    begin = time.monotonic()
    last: tuple[str, int] | None = None

    def report(step: str, done: int, total: int) -> None:
        nonlocal last
        tenth = 10 * done // total if total else 0
        if last != (step, tenth):
            last = (step, tenth)
            share = f" {done}/{total}" if total else ""
            note(f"{what}: {step}{share} ({time.monotonic() - begin:.0f} s)")

    return report
