# SPDX-License-Identifier: MIT
"""Runs that cannot be completed: each is told why, before a node is asked anything."""

from __future__ import annotations

import dataclasses
import fcntl
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

from testbed.cli.earlier import Earlier
from testbed.errors import ConfigError, ExitCode
from testbed.harness.records import CaseRecord, ExecutionRecord, RunRecord
from testbed.harness.resume import merge
from testbed.libos.artifacts import sha256_file
from testbed.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

AGENT = b"the agent"


def case(name: str, verdict: Verdict, **more: Any) -> CaseRecord:
    executions = [ExecutionRecord(1, verdict, "", None, 0.0, 0.1, None)]
    nodeid = f"suites/s/test_it.py::{name}"
    return CaseRecord(nodeid, "s", f"test_it.{name}", verdict, executions=executions, **more)


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    """A run with a case that passed and one that met an error; its tests are there."""
    file = tmp_path / "tree" / "suites" / "s" / "test_it.py"
    file.parent.mkdir(parents=True)
    file.touch()
    (tmp_path / "run").mkdir()
    return RunRecord(
        state="finished",
        started="2026-11-21T18:00:00+00:00",
        command=["testbed", "cloudlab", "run", "s", "--", "--no-captures"],
        seed=7,
        repeat=1,
        backend="cloudlab",
        libos="linux",
        environment={"testbed": metadata.version("testbed"), "rootdir": str(tmp_path / "tree")},
        cases=[case("test_a", Verdict.PASSED), case("test_b", Verdict.ERROR)],
    )


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    program = tmp_path / "agent"
    program.write_bytes(AGENT)
    return program


def open_it(run: RunRecord, tmp_path: Path) -> Earlier:
    run.save(tmp_path / "run")
    return Earlier(str(tmp_path / "run"))


def test_what_a_run_lacks_is_found_from_anywhere(run: RunRecord, tmp_path: Path, agent: Path) -> None:
    earlier = open_it(run, tmp_path)
    assert [one.nodeid for one in earlier.kept] == ["suites/s/test_it.py::test_a"]
    assert earlier.missing == [f"{tmp_path}/tree/suites/s/test_it.py::test_b"]
    assert earlier.pytest_words(["-x"]) == [f"--rootdir={tmp_path}/tree", "--no-captures", "-x"]
    assert earlier.topo is None
    earlier.check_same(agent)


def test_its_tests_may_have_moved_here(run: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match=r"^the tests of .*/run are not here: no suites/s/test_it\.py in .*/tree or "):
        open_it(run, tmp_path)
    monkeypatch.chdir(tmp_path / "moved")
    assert open_it(run, tmp_path).missing == [f"{tmp_path}/moved/suites/s/test_it.py::test_b"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backend": "netns"}, r"^wanted a run of backend 'cloudlab' to complete, .*/run is of backend 'netns'\n"),
        ({"cases": []}, r"^nobody knows what .*/run lacks: it ended before its cases were collected\n"),
        (
            {"problems": ["cannot collect suites/s/test_no.py: SyntaxError"]},
            r"^nobody knows what .*/run lacks: cannot collect suites/s/test_no\.py: SyntaxError\n",
        ),
    ],
)
def test_a_run_that_cannot_be_completed(run: RunRecord, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_it(dataclasses.replace(run, **change), tmp_path)


def test_a_run_that_still_goes_on(run: RunRecord, tmp_path: Path) -> None:
    with (tmp_path / "run" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match=r"^the run .*/run still goes on\n"):
            open_it(run, tmp_path)
    assert open_it(run, tmp_path).kept


def test_another_testbed_is_not_mixed_in(run: RunRecord, tmp_path: Path, agent: Path) -> None:
    run.environment["testbed"] = "0.0.1"
    with pytest.raises(ConfigError, match=r"was made by testbed 0\.0\.1, and this is testbed "):
        open_it(run, tmp_path).check_same(agent)


@pytest.mark.parametrize("name", ["agent-0123456789ab", "catnip-0123456789ab"])
def test_another_program_is_not_mixed_in(run: RunRecord, tmp_path: Path, agent: Path, name: str) -> None:
    run.cases[0].artifacts = {"agent-ours": sha256_file(agent), name: "00" * 32}
    with pytest.raises(ConfigError, match=rf"^suites/s/test_it\.py::test_a of .*/run ran on {name}, and the one of "):
        open_it(run, tmp_path).check_same(agent)
    del run.cases[0].artifacts[name]
    open_it(run, tmp_path).check_same(agent)


@pytest.mark.parametrize(
    ("own", "verdict", "both"),
    [
        (ExitCode.OK, Verdict.PASSED, ExitCode.OK),
        (ExitCode.FAILED, Verdict.FAILED, ExitCode.FAILED),
        (ExitCode.FAILED, Verdict.PASSED, ExitCode.FAILED),  # a plugin's own gate
        (ExitCode.NOTHING_RAN, Verdict.SKIPPED, ExitCode.OK),  # beside a kept case that passed
        (ExitCode.INTERRUPTED, Verdict.NOT_RUN, ExitCode.INTERRUPTED),
        (ExitCode.INTERRUPTED, Verdict.PASSED, ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_of_both_runs(
    run: RunRecord, tmp_path: Path, own: ExitCode, verdict: Verdict, both: ExitCode
) -> None:
    state = "interrupted" if own is ExitCode.INTERRUPTED else "finished"
    later = dataclasses.replace(run, state=state, exit_code=int(own), cases=[case("test_b", verdict)])
    run.cases[0].artifacts = {"agent-ours": "11" * 32}
    (tmp_path / "two").mkdir()
    assert merge(later, tmp_path / "two", [run.cases[0]], tmp_path / "run") == both
    assert later.exit_code == both
    assert [one.case for one in later.cases] == ["test_it.test_a", "test_it.test_b"]
    assert later.environment["artifacts"] == {"agent-ours": "11" * 32}, "those of all cases"
