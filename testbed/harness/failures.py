# SPDX-License-Identifier: MIT
"""What pytest knows of a failure, as a record keeps it: the traceback with its source, and the line of the test."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import DeadlineError, GuestCrashed
from testbed.harness.records import Failure
from testbed.paths import package_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

TEXT_LIMIT = 32_768
"""Characters that are kept of a traceback: an assertion can compare megabytes."""


def failure_of(report: pytest.TestReport) -> Failure | None:
    """Take the failure out of a report; None where it tells of none."""
    if not report.failed or report.longrepr is None:
        return None
    file, line = _where(report)
    return Failure(shortened(report.longreprtext), file, line)


@contextmanager
def told_from_outside(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[str | None]:
    """Leave our own frames out of the traceback of a guest that died or of a limit that passed: the cause is not there.

    With ``TESTBED_DEBUG`` all of them stay.

    Args:
        item: The test; while this is open, pytest shows its tracebacks so.
        call: A phase of it.

    Yields:
        What is told where no frame is left, as in the network's own fixture; None where pytest can tell.
    """
    error = call.excinfo.value if call.excinfo is not None else None
    if not isinstance(error, GuestCrashed | DeadlineError) or call.excinfo is None or os.environ.get("TESTBED_DEBUG"):
        yield None
        return
    error.__cause__, error.__suppress_context__ = None, True  # how we saw that it is gone: a closed pipe
    if all(_is_machinery(Path(entry.path)) for entry in call.excinfo.traceback):
        yield f"{type(error).__name__}: {error}"
        return
    usual = item._traceback_filter  # noqa: SLF001 (of pytest: what a report is made with; there is no public way)

    def outside(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        return usual(excinfo).filter(lambda entry: not _is_machinery(Path(entry.path)))

    item._traceback_filter = outside  # type: ignore[method-assign]  # noqa: SLF001
    try:
        yield None
    finally:
        del item._traceback_filter  # noqa: SLF001


def _is_machinery(path: Path) -> bool:
    return path.is_relative_to(package_dir()) or not {"_pytest", "pluggy"}.isdisjoint(path.parts)


def shortened(text: str, limit: int = TEXT_LIMIT) -> str:
    """Leave out the middle of a long text, and say how much."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def _where(report: pytest.TestReport) -> tuple[str, int | None]:
    """Give file and line (from 1) of the innermost frame in the test's own file; else those of the test."""
    file, first, _ = report.location
    entries = getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", [])
    places = [entry.reprfileloc for entry in entries if getattr(entry, "reprfileloc", None) is not None]
    lines = [place.lineno for place in places if place.path == file]
    if lines:
        return file, lines[-1]
    return file, None if first is None else first + 1
