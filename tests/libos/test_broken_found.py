# SPDX-License-Identifier: MIT
"""A LibOS that is broken in one way gets the verdict that says so: from a ``testbed.toml`` to ``run.json``."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from testbed.harness.records import load_run
from testbed.reports.bounds import BAD
from testbed.reports.detail import Wanted, detail
from tests.libos.broken import VARIANTS, declare

if TYPE_CHECKING:
    from pathlib import Path

SUITE = '''
import pytest
from testbed.backends.workload import finish


@pytest.fixture
def pair(network, flavor):
    """Two connected LibOSes: client, its queue, server, its queue."""
    a, b = network["h1"].libos(flavor, limit=5.0), network["h2"].libos(flavor, limit=5.0)
    listener = b.socket()
    b.bind(listener, (b.address, 80))
    b.listen(listener)
    accept = b.accept(listener)
    queue = a.socket()
    a.wait(a.connect(queue, (b.address, 80)), 5.0)
    return a, queue, b, b.wait(accept).accepted


@pytest.mark.flavors("tcp")
@pytest.mark.scenario("pair", delay_ms=1)
def test_ping_pong(network, flavor, pair):
    a, out, b, back = pair
    for number in range(4):
        a.wait(a.push(out, bytes([number]) * 64))
        assert b.wait(b.pop(back)).data == bytes([number]) * 64


@pytest.mark.scenario("pair", delay_ms=1)
def test_push_pop(network, flavor):
    h1, h2 = network["h1"], network["h2"]
    where = f"{h2.address()}:80"
    server = h2.workload("tcp-push-pop", libos=flavor, server=where, requests=16, timeout=5)
    finish(server, h1.workload("tcp-push-pop", libos=flavor, client=where, requests=16, timeout=5))


@pytest.mark.scenario("pair", delay_ms=1)
def test_order(network, flavor, pair):
    a, out, b, back = pair
    pops = [b.pop(back), b.pop(back)]
    a.wait(a.push(out, b"one"))
    assert b.wait_any(pops).index == 0


def test_api(network, flavor):
    libos = network["h1"].libos(flavor)
    with pytest.raises(OSError) as wrong:
        libos.close(99)
    assert wrong.value.errno_name == "EBADF"
    with pytest.raises(OSError) as wrong:
        libos.socket(domain=10)
    assert wrong.value.errno_name == "ENOTSUP"
'''
# Of each variant: the test that finds it, the verdict, and words of its reason.
FOUND = {
    "ERRNO": ("test_api", "failed", "'EINVAL' == 'EBADF'"),
    "WROTE": ("test_api", "failed", "wrote to its results all the same"),
    "BYTE": ("test_push_pop", "failed", "stream 1"),
    "ORDER": ("test_order", "failed", "1 == 0"),
    "HANG": ("test_push_pop", "timed out", "tcp-push-pop: demi_wait did not return within 5 s of the network's time"),
    "CRASH": ("test_ping_pong", "crashed", "killed by SIGSEGV in push("),
    "PORT": ("test_ping_pong", "non-deterministic", ""),
    "TOKEN": ("test_ping_pong", "failed", "which is not pending"),
    "SIZE": ("test_ping_pong", "failed", "wrote behind the 64 bytes of demi_qresult_t"),
    "SPIN": ("test_ping_pong", "timed out", "push("),
}


def judge(pytester: pytest.Pytester, program: Path, variant: str | None, *words: str) -> dict[str, Any]:
    """Run the suite for a variant of the small LibOS; give its cases by the name of their test."""
    assert program.is_file()
    folder = pytester.path / "suites" / "queues"
    folder.mkdir(parents=True)
    (folder / "test_queues.py").write_text(SUITE)
    declare(pytester.path, variant)
    pytester.makeini("[pytest]\naddopts = --strict-markers\n")
    run = pytester.path / "run"
    pytester.runpytest_inprocess("--run-dir", str(run), "-p", "no:cacheprovider", "--libos", "small", *words)
    document = json.loads((run / "run.json").read_text())
    return {case["nodeid"].partition("::")[2].partition("[")[0]: case for case in document["cases"]}


@pytest.mark.guest
def test_the_right_one_passes_with_the_same_bits(pytester: pytest.Pytester, program: Path) -> None:
    cases = judge(pytester, program, None)
    assert {name: (case["verdict"], case["reason"]) for name, case in cases.items()} == dict.fromkeys(
        ("test_ping_pong", "test_push_pop", "test_order", "test_api"), ("passed", "")
    )
    assert all(case["digest"] for case in cases.values())
    assert any(name.startswith("foreign-small-") for name in cases["test_api"]["artifacts"])


@pytest.mark.guest
@pytest.mark.parametrize("variant", FOUND)
def test_each_fault_is_found_by_its_test(pytester: pytest.Pytester, program: Path, variant: str) -> None:
    name, verdict, words = FOUND[variant]
    case = judge(pytester, program, variant, "-k", name, "--stall", "2")[name]
    assert case["verdict"] == verdict, case["reason"]
    assert words in case["reason"]


@pytest.mark.guest
@pytest.mark.parametrize(
    ("name", "pending"),
    [
        ("test_ping_pong", ["#4 push on queue 1 since "]),  # a call of the test, which gave number 1 to the connect
        ("test_push_pop", ["#4 push on queue 1 since ", "#4 pop on queue 2 since "]),  # both sides of a workload
    ],
)
def test_a_hang_lists_what_is_pending_in_the_record_and_the_report(
    pytester: pytest.Pytester, program: Path, name: str, pending: list[str]
) -> None:
    case = judge(pytester, program, "HANG", "-k", name)[name]
    assert case["verdict"] == "timed out"
    for words in ("pending operations:", *pending):
        assert words in case["failure"]["text"]
    run = pytester.path / "run"
    (found,) = load_run(run).cases
    shown = detail(run, found, Wanted(packets=False, bounds=BAD))
    assert all(words in shown["failure"]["text"] for words in pending)
    text = "".join(ET.parse(run / "junit.xml").getroot().itertext())
    assert all(words in text for words in pending)


def test_every_variant_has_its_test() -> None:
    assert {*FOUND, "SYMBOL"} == set(VARIANTS)  # one that lacks a function is refused: see test_foreign
