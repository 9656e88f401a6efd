# SPDX-License-Identifier: MIT
"""list: what there is, as a table and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Testbed


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("scenarios", "two_path"),
        ("backends", "timetravel"),
        ("flavors", "linux"),
        ("suites", "netlink-socket"),
    ],
)
def test_every_kind_lists_what_is_known(testbed: Testbed, kind: str, name: str) -> None:
    table = testbed("list", kind)
    assert table.returncode == 0, table.stderr
    assert name in [line.split()[0] for line in table.stdout.splitlines()]
    found = json.loads(testbed("list", kind, "--json").stdout)
    assert [entry["name"] for entry in found] == [line.split()[0] for line in table.stdout.splitlines()]


def test_scenarios_tell_their_parameters(testbed: Testbed) -> None:
    found = {entry["name"]: entry for entry in json.loads(testbed("list", "scenarios", "--json").stdout)}
    assert found["lan"]["parameters"]["n"]["default"] == "4"
    assert "milliseconds" in found["lan"]["parameters"]["delay_ms"]["what"]
    assert found["single"]["parameters"] == {}


@pytest.mark.parametrize("kind", ["artifacts", "runs"])
def test_nothing_there_is_said_on_stderr(testbed: Testbed, kind: str) -> None:
    done = testbed("list", kind)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"there are no {kind} yet\n")
    assert testbed("list", kind, "--json").stdout == "[]\n"


def test_an_unreadable_run_is_listed_as_such(testbed: Testbed, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "broken"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{")
    done = testbed("list", "runs")
    assert done.returncode == 0
    assert "unreadable" in done.stdout


def test_cases_come_from_pytest_s_collection(testbed: Testbed, tmp_path: Path) -> None:
    folder = tmp_path / "suites" / "mine"
    folder.mkdir(parents=True)
    (folder / "test_one.py").write_text("def test_a():\n    pass\n\n\ndef test_b():\n    pass\n")
    found = json.loads(testbed("list", "cases", "--json").stdout)
    mine = [entry["case"] for entry in found if entry["suite"] == "mine"]
    assert mine == ["test_one::test_a", "test_one::test_b"]


def test_a_collection_that_fails_shows_pytest_s_words(testbed: Testbed, tmp_path: Path) -> None:
    folder = tmp_path / "suites" / "mine"
    folder.mkdir(parents=True)
    (folder / "test_one.py").write_text("import nowhere_to_be_found\n")
    done = testbed("list", "cases")
    assert done.returncode == 3
    assert "No module named 'nowhere_to_be_found'" in done.stderr
