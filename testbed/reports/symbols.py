# SPDX-License-Identifier: MIT
"""A sign for each verdict, so that no report needs colour; it always stands beside the word."""

from __future__ import annotations

from testbed.verdict import Verdict

SYMBOLS: dict[Verdict, str] = {
    Verdict.PASSED: "✓",
    Verdict.XFAILED: "≈",
    Verdict.SKIPPED: "»",
    Verdict.NOT_RUN: "○",
    Verdict.NON_DETERMINISTIC: "≠",
    Verdict.FAILED: "✗",
    Verdict.TIMED_OUT: "⌛",
    Verdict.CRASHED: "‡",
    Verdict.ERROR: "!",
}
