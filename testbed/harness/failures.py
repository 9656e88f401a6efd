# SPDX-License-Identifier: MIT
"""What pytest knows of a failure, as a record keeps it: the traceback with its source, and the line of the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.harness.records import Failure

if TYPE_CHECKING:
    import pytest

TEXT_LIMIT = 32_768
"""Characters that are kept of a traceback: an assertion can compare megabytes."""


def failure_of(report: pytest.TestReport) -> Failure | None:
    """Take the failure out of a report; None where it tells of none."""
    if not report.failed or report.longrepr is None:
        return None
    file, line = _where(report)
    return Failure(shortened(report.longreprtext), file, line)


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
