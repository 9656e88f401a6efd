# SPDX-License-Identifier: MIT
"""Runs that end early, by the loss of a node, Ctrl-C or SIGKILL, and the ones that complete them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cloudlab.test_command import end, start, verdicts
from tests.cloudlab.test_network import state

if TYPE_CHECKING:
    import subprocess

    from tests.cloudlab.rig import Rig

FIRST, SECOND, THIRD, FOURTH = (f"test_loss.test_{name}" for name in ("first", "second", "third", "fourth"))
SUITE = """
import pathlib, pytest
HERE = pathlib.Path(__file__).parent

@pytest.mark.scenario("lan", n=2)
def test_first(network):
    network["h1"].run(["ping", "-c1", network["h2"].address()])

@pytest.mark.scenario("lan", n=2)
def test_second(network):
    if not (HERE / "mended").exists():
        (HERE / "now").touch()
        while True:
            network["h2"].run(["sleep", "0.2"])

@pytest.mark.scenario("lan", n=2)
def test_third(network):
    assert network["h2"].run("true").returncode == 0

@pytest.mark.scenario("single")
def test_fourth(network):
    assert network["h1"].run("true").returncode == 0
"""


class Suite:
    """A suite whose second case does not end before it is mended."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / "suites" / "loss"
        self.folder.mkdir(parents=True)
        (self.folder / "test_loss.py").write_text(SUITE)
        (base / "pytest.ini").write_text("[pytest]\n")

    def wait(self, process: subprocess.Popen[str]) -> None:
        """Wait until a run is in the second case."""
        until = time.monotonic() + 120
        while not (self.folder / "now").exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.05)
        (self.folder / "now").unlink()

    def mend(self) -> None:
        """Have the second case end."""
        (self.folder / "mended").touch()


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_a_run_that_loses_a_node_is_completed_by_the_next(rig: Rig, suite: Suite, tmp_path: Path) -> None:
    box = rig.boxes["h2"]
    first = start(rig, "run", "suites/loss", "--run-dir", "one", cwd=tmp_path)
    suite.wait(first)
    box.power_off()
    try:
        words = end(first, 3)
    finally:
        box.start_sshd()
    assert "node h2: connection lost" in words
    assert "2 cases did not run or met an error: testbed cloudlab run --manifest" in words
    assert "--resume one" in words
    # It goes on with what the node that is left can do.
    assert verdicts(tmp_path / "one") == {FIRST: "passed", SECOND: "error", THIRD: "error", FOURTH: "passed"}
    suite.mend()
    words = end(start(rig, "run", "--resume", "one", "--run-dir", "two", cwd=tmp_path), 0)
    assert "2 finished cases are kept, 2 are run" in words
    assert verdicts(tmp_path / "two") == dict.fromkeys((FIRST, SECOND, THIRD, FOURTH), "passed")
    record = Path("cases/loss/test_loss.test_first/1/record.json")
    assert (tmp_path / "two" / record).read_bytes() == (tmp_path / "one" / record).read_bytes()
    assert "test_first" in (tmp_path / "two" / "report.html").read_text()
    words = end(start(rig, "run", "--resume", "two", cwd=tmp_path), 0)
    assert "nothing is missing" in words


def test_ctrl_c_keeps_what_is_finished_also_of_a_run_that_completes_another(
    rig: Rig, suite: Suite, tmp_path: Path
) -> None:
    before = [state(box) for box in rig.boxes.values()]
    away = tmp_path / "elsewhere"
    away.mkdir()
    first = start(rig, "run", "suites/loss", "--run-dir", "one", cwd=tmp_path)
    suite.wait(first)
    first.send_signal(signal.SIGINT)
    words = end(first, 130)
    assert "--resume one" in words
    assert verdicts(tmp_path / "one") == {FIRST: "passed", SECOND: "not run", THIRD: "not run", FOURTH: "not run"}
    assert [state(box) for box in rig.boxes.values()] == before, "a node is not as it was"
    # From another folder, as nothing of the command line says where the suite lies.
    second = start(rig, "run", "--resume", "../one", "--run-dir", "two", cwd=away)
    suite.wait(second)
    second.send_signal(signal.SIGINT)
    assert "1 finished cases are kept, 3 are run" in end(second, 130)
    assert verdicts(away / "two") == {FIRST: "passed", SECOND: "not run", THIRD: "not run", FOURTH: "not run"}
    assert [state(box) for box in rig.boxes.values()] == before, "a node is not as it was"
    suite.mend()
    words = end(start(rig, "run", "--resume", "two", "--run-dir", "three", cwd=away), 0)
    assert "1 finished cases are kept, 3 are run" in words
    assert verdicts(away / "three") == dict.fromkeys((FIRST, SECOND, THIRD, FOURTH), "passed")


def test_a_run_that_is_killed_in_its_first_case_says_what_it_lacks(rig: Rig, suite: Suite, tmp_path: Path) -> None:
    file = suite.folder / "test_loss.py"
    file.write_text(file.read_text().replace("test_first", "test_later").replace("test_second", "test_first", 1))
    lines = file.read_text().split("@pytest")
    file.write_text("@pytest".join([lines[0], lines[2], lines[1], *lines[3:]]))
    first = start(rig, "run", "suites/loss", "--run-dir", "one", cwd=tmp_path)
    suite.wait(first)
    os.kill(first.pid, signal.SIGKILL)
    end(first, -signal.SIGKILL)
    suite.mend()
    words = end(start(rig, "run", "--resume", "one", "--run-dir", "two", cwd=tmp_path), 0)
    assert "0 finished cases are kept, 4 are run" in words
    assert verdicts(tmp_path / "two") == dict.fromkeys((FIRST, "test_loss.test_later", THIRD, FOURTH), "passed")


def test_suites_beside_resume_are_refused(rig: Rig, tmp_path: Path) -> None:
    words = end(start(rig, "run", "--resume", "one", "suites/loss", cwd=tmp_path), 4)
    assert "--resume runs what the earlier run lacks, and takes no suites" in words
