# SPDX-License-Identifier: MIT
"""Made-up runs and cases for the tests of reports."""

from __future__ import annotations

from typing import Any

from testbed.harness.records import CaseRecord, ExecutionRecord, RunRecord
from testbed.verdict import Verdict, worst

DIGEST = "ab" * 32
HOSTILE = (
    "<script>alert(1)</script> | `x` ``` \x1b[31mred\x1b]0;title\x07 \x00\x07 ]]> & \u202e @all **b**\r\nnext [a](b)"
)


def case(
    verdict: Verdict = Verdict.PASSED, *, suite: str = "mptcp", test: str = "test_x", executions: int = 2, **more: Any
) -> CaseRecord:
    """Make a case up: nothing of it is on disk."""
    digest = None if verdict is Verdict.NON_DETERMINISTIC else DIGEST
    ran = [ExecutionRecord(number + 1, verdict, "", digest, 2.0, 0.25, None) for number in range(executions)]
    values: dict[str, Any] = {
        "nodeid": f"suites/{suite}/test_it.py::{test}",
        "case": f"test_it.{test}",
        "reason": "",
        "seed": 7,
        "digest": digest,
        "executions": ran,
        "virtual_s": 2.0 * executions,
        "wall_s": 0.25 * executions,
    }
    return CaseRecord(suite=suite, verdict=verdict, **(values | more))


def run(*cases: CaseRecord, **more: Any) -> RunRecord:
    """Make a run of them up."""
    values: dict[str, Any] = {
        "state": "finished",
        "started": "2026-01-01T12:00:00+00:00",
        "command": ["testbed", "run"],
        "seed": 1,
        "repeat": 2,
        "backend": "timetravel",
        "libos": "linux",
        "environment": {"kernels": ["6.12.117"], "cpus": 2},
        "verdict": worst(entry.verdict for entry in cases),
        "cases": list(cases),
    }
    return RunRecord(**(values | more))
