# SPDX-License-Identifier: MIT
"""How long it takes to build and to run suites, measured from outside: as processes, as a user has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from testbed.errors import TestbedError

FIRST = ("netlink-socket", "mptcp", "tcp-simple", "udp-simple")
KERNEL = (*FIRST, "process-manager", "cradle", "ip6-tunnels", "transport")
"""The suites of the kernel; the others are those of the LibOSes."""

CASES = 20
JOBS = 2
WORKERS = 2

_CASES = """
import pytest


@pytest.mark.scenario("pair")
@pytest.mark.parametrize("number", range({count}))
def test_one_command(network, number):
    assert network["h1"].run(["true"]).returncode == 0
"""


def case_s() -> float:
    """Measure one case: fresh guest, ``pair``, one command, record, down; pytest's own start is taken off."""
    return (_cases_s(1 + CASES) - _cases_s(1)) / CASES


def _cases_s(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        file = Path(folder) / "test_cases.py"
        file.write_text(_CASES.format(count=count))
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--repeat", "1"]
        return _process_s([*argv, "--run-dir", f"{folder}/run", str(file)], folder)


def tcp_simple_s() -> float:
    """Measure one execution of the example tcp-simple: 27.8 virtual hours."""
    return _longest_case_s("tcp-simple")


def hundred_nodes_s() -> float:
    """Measure one execution of the case of 100 nodes with 5 processes each, from its network's start to its record."""
    return _longest_case_s("process-manager", "--", "-k", "test_hundred_nodes_with_five_processes_each")


def _longest_case_s(*words: str) -> float:
    """Run cases once, one after the other, and give the wall time of the one that has the longest virtual time."""
    return float(max(_cases_of("-n", "0", *words), key=lambda case: case["virtual_s"])["wall_s"])


def _cases_of(*words: str) -> list[dict[str, float]]:
    """Run cases once and give what the run says of each."""
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        run = Path(folder) / "run"
        argv = [sys.executable, "-m", "testbed", "run", "--repeat", "1", "--run-dir", str(run), *words]
        _process_s(argv, folder)
        cases: list[dict[str, float]] = json.loads((run / "run.json").read_text())["cases"]
        return cases


def tunnels_s() -> float:
    """Measure the suite ip6-tunnels once, one case after the other: what its PASS line says, without pytest's start."""
    return sum(case["wall_s"] for case in _cases_of("-n", "1", "ip6-tunnels"))


def first_suites_s() -> float:
    """Measure ``make test`` of the four first suites, artifacts cached, every case twice, two at a time."""
    return make_test_s(*(word for suite in FIRST for word in ("-s", suite)))


def kernel_suites_s() -> float:
    """Measure ``make test`` of the kernel's eight suites, artifacts cached, every case twice, two at a time."""
    return make_test_s(*(word for suite in KERNEL for word in ("-s", suite)))


def flavor_s(flavor: str) -> float:
    """Measure ``make test`` of a LibOS: all suites that it has, artifacts cached, every case twice, two at a time."""
    return make_test_s("--libos", flavor)


def make_test_s(*words: str) -> float:
    """Measure one ``make test`` with some words more, in virtual time, two cases at a time."""
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        argv = [sys.executable, "-m", "testbed", "make", "test", "-n", str(WORKERS), "--run-dir", f"{folder}/run"]
        return _process_s([*argv, *words], folder)


def build_s() -> float:
    """Measure the kernel's build with nothing cached, two jobs at a time."""
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        argv = [sys.executable, "-m", "testbed", "build", "linux", "--jobs", str(JOBS)]
        return _process_s(argv, folder, TESTBED_CACHE=f"{folder}/cache", CCACHE_DISABLE="1")


def _process_s(argv: list[str], folder: str, **env: str) -> float:
    """Run a program that must succeed, and give its length in seconds of wall time.

    Raises:
        TestbedError: It failed; its last words are in the message.
    """
    begin = time.perf_counter()
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", **env},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    took = time.perf_counter() - begin
    if done.returncode:
        words = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise TestbedError(f"{' '.join(argv[2:5])} failed with exit code {done.returncode}:\n{words}")
    return took
