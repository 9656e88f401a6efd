# SPDX-License-Identifier: MIT
"""``testbed cloudlab`` from the outside: runs, a run that loses a node, and the one that completes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cloudlab.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
SUITE = """
import os, pathlib, pytest
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
"""


def start(rig: Rig, *words: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
    """Start ``testbed cloudlab`` on the rig."""
    command, *rest = words
    access = ["--manifest", rig.manifest, "--known-hosts", rig.known_hosts, "--identity", rig.identity]
    argv = [sys.executable, "-m", "testbed", "cloudlab", command, *map(str, access), *rest]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(argv, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def end(process: subprocess.Popen[str], status: int) -> str:
    words, _ = process.communicate(timeout=180)
    assert process.returncode == status, words
    return words


def verdicts(folder: Path) -> dict[str, str]:
    run: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return {case["case"]: case["verdict"] for case in run["cases"]}


def test_a_run_that_loses_a_node_is_completed_by_the_next(rig: Rig, tmp_path: Path) -> None:
    suite = tmp_path / "suites" / "loss"
    suite.mkdir(parents=True)
    (suite / "test_loss.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    box = rig.boxes["h2"]
    first = start(rig, "run", "suites/loss", "--run-dir", "one", cwd=tmp_path)
    until = time.monotonic() + 120
    while not (suite / "now").exists():
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < until
        os.sched_yield()
        time.sleep(0.05)
    box.power_off()
    try:
        words = end(first, 3)
    finally:
        box.start_sshd()
    assert "node h2: connection lost" in words
    assert verdicts(tmp_path / "one") == {
        "test_loss.test_first": "passed",
        "test_loss.test_second": "error",
        "test_loss.test_third": "error",
    }
    (suite / "mended").touch()
    words = end(start(rig, "run", "--resume", "one", "--run-dir", "two", cwd=tmp_path), 0)
    assert "1 finished cases are kept, 2 are run" in words
    assert set(verdicts(tmp_path / "two").values()) == {"passed"}
    assert list(verdicts(tmp_path / "two")) == ["test_loss.test_first", "test_loss.test_second", "test_loss.test_third"]
    record = Path("cases/loss/test_loss.test_first/1/record.json")
    assert (tmp_path / "two" / record).read_bytes() == (tmp_path / "one" / record).read_bytes()
    assert "test_first" in (tmp_path / "two" / "report.html").read_text()
    words = end(start(rig, "run", "--resume", "two", cwd=tmp_path), 0)
    assert "nothing is missing" in words


def test_check_and_clean(rig: Rig) -> None:
    found = json.loads(end(start(rig, "check", "--json"), 0))
    assert {row["node"] for row in found} == {"h1", "h2"}
    assert {row["what"] for row in found} >= {"kernel", "NIC", "huge pages", "DPDK", "free space"}
    assert not [row for row in found if row["level"] == "bad"]
    words = end(start(rig, "clean"), 0)
    assert "clean: h1, h2" in words
    assert rig.boxes["h1"].enter("ls", "/var/tmp") == ""


def test_a_manifest_that_is_none_is_a_usage_error(rig: Rig, tmp_path: Path) -> None:
    before = rig.manifest
    rig.manifest = tmp_path / "none.xml"
    try:
        assert "cannot read the manifest" in end(start(rig, "check"), 4)
    finally:
        rig.manifest = before


@pytest.mark.parametrize("word", ["lan:n=4", "chain", "single"])
def test_profile_renders_what_geni_lib_reads(word: str) -> None:
    argv = [sys.executable, "-m", "testbed", "cloudlab", "profile", word, "--hardware", "xl170"]
    text = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    from geni.rspec import pgmanifest  # noqa: PLC0415  # a slow import

    nodes = [node.name for node in pgmanifest.Manifest(xml=text).nodes]
    assert nodes == {"lan:n=4": ["h1", "h2", "h3", "h4"], "chain": ["h1", "r1", "h2"], "single": ["h1"]}[word]
    assert text.count('<hardware_type name="xl170"') == len(nodes)
