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
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        run = Path(folder) / "run"
        argv = [sys.executable, "-m", "testbed", "run", "tcp-simple", "-n", "0", "--repeat", "1", "--run-dir", str(run)]
        _process_s(argv, folder)
        cases = json.loads((run / "run.json").read_text())["cases"]
        return float(max(cases, key=lambda case: case["virtual_s"])["wall_s"])


def make_test_s() -> float:
    """Measure all of ``make test``, artifacts cached, every case twice, two at a time."""
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        argv = [sys.executable, "-m", "testbed", "make", "test", "-n", str(WORKERS), "--run-dir", f"{folder}/run"]
        return _process_s(argv, folder)


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
