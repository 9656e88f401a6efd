# SPDX-License-Identifier: MIT
"""The check against the schema: it passes what is right (see tests/harness) and fires on what is not."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from testbed.errors import ConfigError, InternalError
from testbed.harness.records import CaseRecord, ExecutionRecord, ProcessRecord, Record, RunRecord, load_run
from testbed.reports import runjson
from testbed.reports.runjson import RECORD, problems, schema
from testbed.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "0" * 64
ENVIRONMENT = {
    "testbed": "0.1.0", "python": "3.11.2", "pytest": "9.0", "machine": "x86_64", "host_kernel": "6.1",
    "host_system": "Debian", "cpus": 2, "root": True, "workers": 2,
    "kernels": ["6.12"], "artifacts": {"linux-1": DIGEST},
}  # fmt: skip


def document() -> dict[str, object]:
    execution = ExecutionRecord(1, Verdict.PASSED, "", DIGEST, 1.0, 0.1, "cases/s/c/1")
    case = CaseRecord("x.py::y", "s", "c", Verdict.PASSED, seed=7, digest=DIGEST, executions=[execution])
    run = RunRecord("finished", "2026-01-01T00:00:00+00:00", ["pytest"], 1, 2, "timetravel", "linux", ENVIRONMENT)
    run.cases.append(case)
    run.exit_code = 0
    found: dict[str, object] = json.loads(json.dumps(dataclasses.asdict(run)))
    return found


def test_right_document_has_no_problem() -> None:
    assert problems(document()) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (["schema"], 2, "$.schema: wanted 1, found 2"),
        (["seed"], -1, "$.seed: wanted at least 0, found -1"),
        (["seed"], True, "$.seed: wanted integer, found True"),
        (["cases", 0, "digest"], "abc", "$.cases[0].digest: wanted a match of ^[0-9a-f]{64}$, found 'abc'"),
        (["cases", 0, "folder"], 1, "$.cases[0].folder: wanted ['string', 'null'], found 1"),
        (["cases", 0, "more"], 1, "$.cases[0]: 'more' is not known"),
        (["environment", "artifacts", "x"], 1, "$.environment.artifacts.x: wanted string, found 1"),
        (["state"], "done", "$.state: wanted one of ['running', 'finished', 'interrupted'], found 'done'"),
    ],
)
def test_wrong_document_is_told_where(path: list[str | int], value: object, problem: str) -> None:
    data = document()
    inner: object = data
    for step in path[:-1]:
        inner = inner[step]  # type: ignore[index]
    inner[path[-1]] = value  # type: ignore[index]
    assert problems(data) == [problem]


def test_missing_field_is_told() -> None:
    data = document()
    del data["cases"]
    assert problems(data) == ["$: 'cases' is missing"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("case", CaseRecord), ("execution", ExecutionRecord), ("record", Record), ("process", ProcessRecord)],
)
def test_schema_knows_the_fields_of_the_code(name: str, kind: type) -> None:
    assert set(schema()["$defs"][name]["properties"]) == {field.name for field in dataclasses.fields(kind)}
    assert set(schema()["properties"]) == {field.name for field in dataclasses.fields(RunRecord)}
    assert schema()["$defs"]["verdict"]["enum"] == list(Verdict)


def test_schema_with_an_unknown_word_is_our_own_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runjson, "schema", lambda: {"oneOf": []})
    with pytest.raises(InternalError, match=r"^the schema uses words that its check does not know: \['oneOf'\]$"):
        problems({})


def test_record_is_checked_too() -> None:
    record = json.loads(json.dumps(dataclasses.asdict(Record("n", "s", "c", 1, 7, "fake"))))
    assert problems(record, RECORD) == []
    record["execution"] = 0
    assert problems(record, RECORD) == ["$.execution: wanted at least 1, found 0"]


def test_run_of_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 99}')
    with pytest.raises(ConfigError, match=r"^.*/run.json has schema 99; this testbed reads schema 1$"):
        load_run(tmp_path)
    with pytest.raises(ConfigError, match=r"^no run in .*: run.json is missing$"):
        load_run(tmp_path / "nowhere")
