# SPDX-License-Identifier: MIT
"""What a guest cannot hide is found by the second execution, and told: the process and byte, or the packet."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.determinism.reference import environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.guest

NONDETERMINISTIC_EXIT = 1
CPU_LACKS_IT = 3


@dataclass
class Session:
    """A finished pytest session: its exit code, what it printed, and the cases of its ``run.json`` by test name."""

    code: int
    text: str
    cases: dict[str, dict[str, Any]]


def pytest_in(folder: Path, source: str, *words: str) -> Session:
    """Run a suite of one file in a pytest of its own."""
    suite = folder / "suites" / "planted"
    suite.mkdir(parents=True, exist_ok=True)
    (suite / "test_it.py").write_text(textwrap.dedent(source))
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    run = folder / f"run{len(list(folder.glob('run*')))}"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--run-dir",
        str(run),
        *words,
        "suites/planted",
    ]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert (run / "run.json").exists(), done.stdout + done.stderr
    cases = json.loads((run / "run.json").read_text())["cases"]
    return Session(done.returncode, done.stdout, {case["nodeid"].rpartition("::")[2]: case for case in cases})


def test_workers_do_not_change_digests(tmp_path: Path) -> None:
    source = """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        @pytest.mark.scenario("pair", delay_ms=2, jitter_ms=1, loss_ratio=0.2)
        def test_ping(network, number):
            h1, h2 = network["h1"], network["h2"]
            h1.run(["ping", "-i", "0.01", "-c", str(5 + number), h2.address()], check=False)
            h1.run(["od", "-N16", "-tx1", "/dev/urandom"])
    """
    alone, workers = (pytest_in(tmp_path, source, "-n", count) for count in ("1", "2"))
    assert alone.code == workers.code == 0, alone.text + workers.text
    digests = {name: case["digest"] for name, case in alone.cases.items()}
    assert len(set(digests.values())) == 4
    assert all(digests.values())
    assert {name: case["digest"] for name, case in workers.cases.items()} == digests


def test_what_a_test_draws_on_the_host_comes_from_the_seed(tmp_path: Path) -> None:
    source = """
        import random

        def test_draws(network):
            network["h1"].write("/tmp/chance", random.randbytes(16))
            network["h1"].run(["cat", "/tmp/chance"])
            network["h1"].run(["ip", "link", "add", f"d{random.randrange(10**9)}", "type", "dummy"])
    """
    one, again, other = (pytest_in(tmp_path, source, "--seed", seed) for seed in ("1", "1", "2"))
    assert one.code == again.code == other.code == 0, one.text
    digests = [session.cases["test_draws"]["digest"] for session in (one, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_a_file_that_changes_on_the_host_is_reported(tmp_path: Path, visible_folder: Path) -> None:
    file = visible_folder / "changes"
    session = pytest_in(
        tmp_path,
        f"""
        import pathlib, time

        def test_reads(network):
            pathlib.Path({str(file)!r}).write_text("it is " + str(time.time_ns()))
            network["h1"].run(["true"])
            network["h2"].run(["cat", {str(file)!r}])
        """,
    )
    case = session.cases["test_reads"]
    assert session.code == NONDETERMINISTIC_EXIT, session.text
    assert case["verdict"] == "non-deterministic"
    assert case["digest"] is None
    found = re.search(r"process 001-h2-cat: stdout differs at byte (\d+)", case["difference"])
    assert found, case["difference"]
    assert int(found[1]) >= len("it is ")
    assert found[0] in session.text
    sides = re.findall(r"execution ([12]): 'it is (\d+)' >>> '(\d+)'", session.text)
    assert [number for number, _, _ in sides[:2]] == ["1", "2"], session.text
    assert sides[0][1] == sides[1][1], "what comes before the difference is the same"
    assert sides[0][2][0] != sides[1][2][0]


def test_what_a_test_reads_is_compared_though_no_process_saw_it(tmp_path: Path, visible_folder: Path) -> None:
    file = visible_folder / "changes"
    session = pytest_in(
        tmp_path,
        f"""
        import pathlib, time

        def test_reads(network):
            pathlib.Path({str(file)!r}).write_text(str(time.time_ns()))
            assert network["h1"].read({str(file)!r})
        """,
    )
    assert session.code == NONDETERMINISTIC_EXIT, session.text
    assert session.cases["test_reads"]["difference"].startswith("first difference: command 1 differs (t = ")


def test_a_packet_that_differs_is_reported(tmp_path: Path, programs: Path) -> None:
    session = pytest_in(
        tmp_path,
        f"""
        import os, pathlib

        def test_sends(network):
            h1, h2 = network["h1"], network["h2"]
            h1.write("/bin/sender", pathlib.Path({str(programs / "sender")!r}).read_bytes(), mode=0o755)
            h1.run(["ping", "-c", "2", h2.address()])
            frames = [(None, "h1-h2", "h1", "from", b"\\xff" * 6 + bytes(6) + b"\\x88\\xb5" + os.urandom(50))]
            network.inject(frames)
            network.sleep(1)
        """,
    )
    case = session.cases["test_sends"]
    assert session.code == NONDETERMINISTIC_EXIT, session.text
    assert case["verdict"] == "non-deterministic"
    found = re.search(r"capture h1-h2\.h[12]: packet (\d+) differs \(t = [\d.]+ s\)", case["difference"])
    assert found, case["difference"]
    assert int(found[1]) >= 4, "two echoes and their replies come first, and are the same"
    assert found[0] in session.text


@pytest.mark.parametrize("instruction", ["rdrand", "rdseed"])
def test_chance_out_of_the_processor_is_reported(tmp_path: Path, programs: Path, instruction: str) -> None:
    """No kernel sees these instructions, so only the second execution can tell."""
    program = programs / "hardware"
    if subprocess.run([program, instruction], check=False, capture_output=True).returncode == CPU_LACKS_IT:
        pytest.skip(f"this processor has no {instruction}")
    session = pytest_in(
        tmp_path,
        f"""
        import pathlib

        def test_asks(network):
            h1 = network["h1"]
            h1.write("/bin/hardware", pathlib.Path({str(program)!r}).read_bytes(), mode=0o755)
            h1.run(["/bin/hardware", {instruction!r}])
        """,
    )
    case = session.cases["test_asks"]
    assert case["verdict"] == "non-deterministic"
    assert re.search(r"process 000-h1-hardware: stdout differs at byte \d+", case["difference"])
    assert session.code == NONDETERMINISTIC_EXIT
