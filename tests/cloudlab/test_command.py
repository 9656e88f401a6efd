# SPDX-License-Identifier: MIT
"""``testbed cloudlab`` from the outside: what it says and writes, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.errors import CapabilityError
from testbed.scenarios.mininet_python import mininet_python

if TYPE_CHECKING:
    from tests.cloudlab.rig import Rig

ROOT = Path(__file__).resolve().parents[2]


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


def findings(rig: Rig) -> list[dict[str, str]]:
    """Give what ``check --json`` finds; what it says beside that, of progress, comes first."""
    words = end(start(rig, "check", "--json"), 0)
    found: list[dict[str, str]] = json.loads(words[words.index("[\n") :])
    return found


def verdicts(folder: Path) -> dict[str, str]:
    run: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return {case["case"]: case["verdict"] for case in run["cases"]}


def test_check_and_clean(rig: Rig) -> None:
    found = findings(rig)
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


TOPO = """
from mininet.topo import Topo

class Lan(Topo):
    def build(self, bw=None):
        switch = self.addSwitch("s1")
        for name in ("h1", "h2"):
            self.addLink(self.addHost(name), switch, **({} if bw is None else {"bw": bw}))
"""
SUITE = """
import pytest

@pytest.mark.scenario("lan", n=2)
def test_rate(network, topology):
    assert [link.shape.rate_bps for link in topology.links] == [9_000_000, 9_000_000]
    assert "1 received" in network["h1"].run(["ping", "-c1", network["h2"].address()]).stdout

@pytest.mark.scenario("lan", n=2)
def test_kernel(network):
    assert network["h2"].run("true").returncode == 0
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with a suite."""
    folder = tmp_path / "suites" / "two"
    folder.mkdir(parents=True)
    (folder / "test_two.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def topo(folder: Path) -> str:
    """Write a Topo class of Mininet's; what --topo says of it."""
    try:
        mininet_python()
    except CapabilityError as error:
        pytest.skip(str(error))
    (folder / "mytopo.py").write_text(TOPO)
    return "mytopo.py:Lan,bw=9"


def test_a_topo_class_is_the_network_also_of_the_run_that_completes_another(rig: Rig, suite: Path) -> None:
    word = topo(suite)
    words = end(start(rig, "run", "suites/two", "--topo", word, "--run-dir", "one", cwd=suite), 0)
    assert "2 passed" in words
    file = suite / "one" / "run.json"
    run = json.loads(file.read_text())
    run["cases"][0]["verdict"] = "error"
    file.write_text(json.dumps(run))
    words = end(start(rig, "run", "--resume", "one", "--run-dir", "two", cwd=suite), 0)
    assert verdicts(suite / "two") == {"test_two.test_rate": "passed", "test_two.test_kernel": "passed"}


def test_a_topo_class_can_be_asked_for(tmp_path: Path) -> None:
    word = topo(tmp_path)
    argv = [sys.executable, "-m", "testbed", "cloudlab", "profile"]
    done = subprocess.run([*argv, "--topo", word], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.count("<node ") == 2
    assert '<link client_id="s1">' in done.stdout
    for words in ([], ["lan", "--topo", word]):
        done = subprocess.run([*argv, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 4
        assert "wanted: a scenario, or --topo FILE.py:CLASS" in done.stderr


def by_hand(rig: Rig, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call testbed with the experiment in the environment."""
    env = {**os.environ, **rig.environment(), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "testbed", *words]
    return subprocess.run(argv, cwd=cwd, env=env, text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL)


def test_run_by_hand_takes_one_case_at_a_time(rig: Rig, suite: Path) -> None:
    file = suite / "suites" / "two" / "test_two.py"
    file.write_text(file.read_text().replace("9_000_000", "None"))
    for more in ([], ["-n", "4"]):
        done = by_hand(rig, suite, "run", "suites/two", "--backend", "cloudlab", *more)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 case at a time: backend 'cloudlab' has room for one network" in done.stderr
        assert "2 passed" in done.stdout
    done = by_hand(rig, suite, "run", "suites/two", "--backend", "cloudlab", "--", "-n", "2")
    assert done.returncode == 4
    assert "backend 'cloudlab' has room for one network at a time: leave out -n 2" in done.stderr


def test_exec_and_shell_work_on_nodes(rig: Rig, tmp_path: Path) -> None:
    done = by_hand(
        rig, tmp_path, "exec", "--backend", "cloudlab", "--scenario", "lan:n=2", "--", "ping", "-c1", "10.0.1.2"
    )
    assert done.returncode == 0, done.stderr
    assert "1 received" in done.stdout
    (tmp_path / "lines").write_text("h2 ip -br address show dev eth0\nh1 ping -c1 h2\n")
    done = by_hand(rig, tmp_path, "shell", "--backend", "cloudlab", "lan:n=2", "--script", "lines")
    assert done.returncode == 0, done.stderr
    assert "10.0.1.2/24" in done.stdout
    assert "1 received" in done.stdout
