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


def verdicts(folder: Path) -> dict[str, str]:
    run: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return {case["case"]: case["verdict"] for case in run["cases"]}


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
