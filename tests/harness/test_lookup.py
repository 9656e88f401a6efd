# SPDX-License-Identifier: MIT
"""Lookup: what names a run, a case and a record, and what is said of what names none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from testbed.errors import ConfigError
from testbed.harness.lookup import find_case, find_record, find_run, open_run, run_folders
from testbed.harness.records import CaseRecord, ExecutionRecord, RunRecord
from testbed.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

CASES = ("suites/a/test_x.py::test_one", "suites/a/test_x.py::test_one_more", "suites/b/test_x.py::test_two[v4]")


def record(*nodeids: str) -> RunRecord:
    cases = [
        CaseRecord(nodeid, nodeid.split("/")[1], f"test_x.{nodeid.rpartition('::')[2]}", Verdict.PASSED)
        for nodeid in nodeids
    ]
    return RunRecord("finished", "2026-01-01T00:00:00+00:00", [], 1, 2, "timetravel", "linux", {}, cases=cases)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "runs"
    monkeypatch.setenv("TESTBED_RUNS", str(root))
    for name in ("20260101-1-aa", "20260101-2-bb", "20260202-1-cc"):
        (root / name).mkdir(parents=True)
        record(*CASES).save(root / name)
    (root / "latest").symlink_to("20260101-2-bb")
    (root / "20260303-no-run").mkdir()
    (root / ".prune-x").mkdir()
    (root / ".prune-x" / "run.json").write_text("{}")
    return root


def test_run_is_found_by_all_its_names(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = runs / "20260101-2-bb"
    for word in (str(wanted), str(wanted / "run.json"), "20260101-2-bb", "20260101-2", "latest", str(runs / "latest")):
        assert find_run(word) == wanted.resolve()
    monkeypatch.chdir(runs)
    assert find_run("20260101-1-aa") == (runs / "20260101-1-aa").resolve()
    assert [path.name for path in run_folders()] == ["20260101-1-aa", "20260101-2-bb", "20260202-1-cc"]


def test_latest_without_its_link_is_the_newest(runs: Path) -> None:
    (runs / "latest").unlink()
    assert find_run("latest").name == "20260202-1-cc"
    (runs / "latest").symlink_to("gone")
    assert find_run("latest").name == "20260202-1-cc"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "20260101",
            r"^'20260101' is the beginning of 2 runs in .*/runs: 20260101-1-aa, 20260101-2-bb\nhint: type more",
        ),
        ("20260101-1-ab", r"^no run '20260101-1-ab': .*; did you mean '20260101-1-aa'"),
        (
            "nonsense",
            r"^no run 'nonsense': .*; valid: 20260101-1-aa, .*-2-bb, .*-1-cc, latest\nhint: testbed list runs$",
        ),
    ],
)
def test_no_run_names_what_is_near(runs: Path, word: str, message: str) -> None:
    assert runs.is_dir()
    with pytest.raises(ConfigError, match=message):
        find_run(word)


def test_folder_without_a_run_is_told(runs: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^no run in .*/20260303-no-run: run.json is missing\nhint: testbed list runs$"
    ):
        find_run(runs / "20260303-no-run")


def test_no_runs_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "none"))
    with pytest.raises(
        ConfigError,
        match=r"^no run 'latest': there is no folder of that name, and .*/none has no runs\n"
        r"hint: testbed run makes one$",
    ):
        find_run("latest")


def test_run_that_is_json_but_no_run_is_refused(runs: Path) -> None:
    (runs / "20260101-1-aa" / "run.json").write_text(json.dumps({"schema": 1, "cases": [{}]}))
    with pytest.raises(ConfigError, match=r"^cannot read the run .*/run.json: KeyError: 'verdict'$"):
        open_run("20260101-1-aa")


@pytest.mark.parametrize(
    ("text", "nodeid"),
    [
        (CASES[0], CASES[0]),  # exact, although it is part of another
        ("test_x.test_one", CASES[0]),
        ("a/test_x.test_one_more", CASES[1]),
        ("one_more", CASES[1]),
        ("v4", CASES[2]),
        ("b/test_x", CASES[2]),
    ],
)
def test_case_is_found_by_all_its_names(text: str, nodeid: str) -> None:
    assert find_case(record(*CASES), text).nodeid == nodeid


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test_", r"^'test_' is part of 3 cases: suites/a/test_x.py::test_one, .*\nhint: type more of its node id$"),
        ("suites/a/test_x.py::test_oen", r"^the run has no case '.*'; did you mean 'suites/a/test_x.py::test_one'"),
        ("zzz", r"^the run has no case 'zzz'; it has suites/a/test_x.py::test_one, "),
    ],
)
def test_no_case_names_what_is_near(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_case(record(*CASES), text)


def test_run_without_cases() -> None:
    with pytest.raises(ConfigError, match=r"^the run has no case 'x'; it has no cases at all\nhint: "):
        find_case(record(), "x")


def test_record_of_an_execution(tmp_path: Path) -> None:
    case = record(CASES[0]).cases[0]
    case.executions = [
        ExecutionRecord(number, Verdict.PASSED, "", None, 1.0, 1.0, folder)
        for number, folder in ((1, "cases/1"), (2, None))
    ]
    with pytest.raises(ConfigError, match=r"^the record .*/cases/1 is gone: record.json is missing"):
        find_record(tmp_path, case)
    (tmp_path / "cases" / "1").mkdir(parents=True)
    (tmp_path / "cases" / "1" / "record.json").write_text("{}")
    assert find_record(tmp_path, case) == find_record(tmp_path, case, 1) == tmp_path / "cases" / "1"
    with pytest.raises(
        ConfigError, match=r"^the record of execution 2 of .* was not kept, .*\nhint: testbed run ... --keep"
    ):
        find_record(tmp_path, case, 2)
    with pytest.raises(ConfigError, match=r"has no execution 3; it has 1, 2\nhint: --execution N$"):
        find_record(tmp_path, case, 3)


def test_record_of_a_skip_is_none(tmp_path: Path) -> None:
    case = record(CASES[0]).cases[0]
    case.verdict, case.reason = Verdict.SKIPPED, "no sctp"
    with pytest.raises(ConfigError, match=r"has no record: it is skipped \(no sctp\)\nhint: only what "):
        find_record(tmp_path, case)
