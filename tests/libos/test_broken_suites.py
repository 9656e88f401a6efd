# SPDX-License-Identifier: MIT
"""The suites of the queue API find what is broken in a LibOS: each fault by the suite that should, with its verdict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from testbed.paths import package_dir
from tests.libos.broken import declare

if TYPE_CHECKING:
    from pathlib import Path

SUITES = package_dir().parent / "suites"
BUFFERS = ("api/test_buffers.py", "test_message_after_message_arrives")
# Of each variant: module and test, the verdict, and words of its reason.
FOUND = {
    "ERRNO": ("api/test_arguments.py", "test_close", "failed", "EINVAL"),
    "WROTE": ("api/test_arguments.py", "test_socket", "failed", "wrote to its results all the same"),
    "BYTE": (*BUFFERS, "timed out", "did not return within 60 s of the network's time"),
    "ORDER": ("api/test_waits.py", "test_operations_of_a_queue_complete_in_order", "failed", "Token("),
    "HANG": (*BUFFERS, "timed out", "did not return within 60 s of the network's time"),
    "SPIN": (*BUFFERS, "timed out", "push("),
    "CRASH": (*BUFFERS, "crashed", "killed by SIGSEGV in push("),
    "PORT": (*BUFFERS, "non-deterministic", ""),
    "TOKEN": (*BUFFERS, "failed", "which is not pending"),
}


def judge(pytester: pytest.Pytester, variant: str | None, module: str, test: str) -> dict[str, Any]:
    """Run one test of the suites for a variant of the small LibOS; give its case."""
    declare(pytester.path, variant)
    pytester.makeini("[pytest]\naddopts = --strict-markers\n")
    run = pytester.path / "run"
    words = ("--run-dir", str(run), "-p", "no:cacheprovider", "--libos", "small", "--stall", "2")
    pytester.runpytest_inprocess(f"{SUITES / module}::{test}", *words)
    [case] = json.loads((run / "run.json").read_text())["cases"]
    assert isinstance(case, dict)
    return case


@pytest.mark.guest
@pytest.mark.parametrize(("module", "test"), sorted({found[:2] for found in FOUND.values()}))
def test_the_right_one_passes(pytester: pytest.Pytester, program: Path, module: str, test: str) -> None:
    assert program.is_file()
    case = judge(pytester, None, module, test)
    assert (case["verdict"], case["reason"]) == ("passed", "")


@pytest.mark.guest
@pytest.mark.parametrize("variant", FOUND)
def test_each_fault_is_found_by_a_suite(pytester: pytest.Pytester, program: Path, variant: str) -> None:
    assert program.is_file()
    module, test, verdict, words = FOUND[variant]
    case = judge(pytester, variant, module, test)
    assert case["verdict"] == verdict, case["reason"]
    assert words in case["reason"]
