# SPDX-License-Identifier: MIT
"""The suites of the queue API find what is broken in a LibOS: each fault by the suite that should, with its verdict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from testbed.paths import package_dir
from tests.libos.broken import VARIANTS, declare

if TYPE_CHECKING:
    from pathlib import Path

SUITES = package_dir().parent / "suites"
BUFFERS = ("api/test_buffers.py", "test_message_after_message_arrives")
PUSH_POP = ("tcp_push_pop/test_one_way.py", "test_all_that_is_pushed_is_popped[small-64]")
PING_PONG = ("tcp_ping_pong/test_rounds.py", "test_each_message_comes_back_whole[small-64]")
# Variant, module and test that find it, the verdict, and words of its reason.
FOUND = [
    ("ERRNO", "api/test_arguments.py", "test_close", "failed", "EINVAL"),
    ("WROTE", "api/test_arguments.py", "test_socket", "failed", "wrote to its results all the same"),
    ("BYTE", *BUFFERS, "timed out", "did not return within 60 s of the network's time"),
    ("BYTE", *PUSH_POP, "failed", " of stream 1"),
    ("ORDER", "api/test_waits.py", "test_operations_of_a_queue_complete_in_order", "failed", "Token("),
    ("HANG", *BUFFERS, "timed out", "did not return within 60 s of the network's time"),
    ("HANG", *PUSH_POP, "timed out", "tcp-push-pop: demi_wait did not return within 60 s of the network's time"),
    ("SPIN", *BUFFERS, "timed out", "push("),
    ("SPIN", *PUSH_POP, "timed out", "no progress"),
    ("CRASH", *BUFFERS, "crashed", "killed by SIGSEGV in push("),
    ("CRASH", *PING_PONG, "crashed", "tcp-ping-pong: killed by SIGSEGV at "),
    ("PORT", *BUFFERS, "non-deterministic", ""),
    ("PORT", "stack/test_tcp.py", "test_a_refused_attempt_says_so", "non-deterministic", ""),
    ("TOKEN", *BUFFERS, "failed", "which is not pending"),
    ("SIZE", *BUFFERS, "failed", "wrote behind the 64 bytes of demi_qresult_t"),
]


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
@pytest.mark.parametrize(("module", "test"), sorted({found[1:3] for found in FOUND}))
def test_the_right_one_passes(pytester: pytest.Pytester, program: Path, module: str, test: str) -> None:
    assert program.is_file()
    case = judge(pytester, None, module, test)
    assert (case["verdict"], case["reason"]) == ("passed", "")


@pytest.mark.guest
@pytest.mark.parametrize(
    ("variant", "module", "test", "verdict", "words"),
    FOUND,
    ids=[f"{found[0]}-{found[1].split('/')[0]}" for found in FOUND],
)
def test_each_fault_is_found_by_a_suite(
    pytester: pytest.Pytester, program: Path, variant: str, module: str, test: str, *, verdict: str, words: str
) -> None:
    assert program.is_file()
    case = judge(pytester, variant, module, test)
    assert case["verdict"] == verdict, case["reason"]
    assert words in case["reason"]


def test_every_variant_is_found_by_a_suite() -> None:
    assert {found[0] for found in FOUND} | {"SYMBOL"} == set(VARIANTS)  # which is refused: see test_foreign
