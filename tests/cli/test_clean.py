# SPDX-License-Identifier: MIT
"""make clean: removes what testbed made, and nothing else."""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from testbed.harness.runfolder import LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Testbed


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Make a folder of runs: one ended, one that was killed, a link to the first, and things of the user's."""
    folder = tmp_path / "runs"
    for name, state in (("ended", "finished"), ("killed", "running")):
        (folder / name / "cases").mkdir(parents=True)
        (folder / name / "run.json").write_text(json.dumps({"state": state}))
    (folder / "latest").symlink_to("ended")
    (folder / "mine").mkdir()
    (folder / "mine" / "notes").write_text("keep me")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "run.json").write_text(json.dumps({"state": "finished"}))
    (folder / "elsewhere").symlink_to(outside)
    return folder


def test_only_ended_runs_go(testbed: Testbed, runs: Path, tmp_path: Path) -> None:
    done = testbed("make", "clean")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [str(runs / "ended"), str(runs / "latest")]
    assert sorted(path.name for path in runs.iterdir()) == ["elsewhere", "killed", "mine"]
    assert (tmp_path / "outside" / "run.json").exists()


def test_all_takes_runs_that_never_ended(testbed: Testbed, runs: Path) -> None:
    testbed("make", "clean", "--all")
    assert sorted(path.name for path in runs.iterdir()) == ["elsewhere", "mine"]
    assert (runs / "mine" / "notes").read_text() == "keep me"


def test_dry_run_removes_nothing(testbed: Testbed, runs: Path) -> None:
    before = sorted(runs.rglob("*"))
    assert str(runs / "ended") in testbed("make", "clean", "--dry-run").stdout
    assert sorted(runs.rglob("*")) == before


def test_artifacts_go_on_request_only(testbed: Testbed, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "artifacts" / "linux-x").mkdir(parents=True)
    (cache / "linux" / "work").mkdir(parents=True)
    (cache / "other").mkdir()
    testbed("make", "clean")
    assert (cache / "artifacts").exists()
    testbed("make", "clean", "--artifacts")
    assert sorted(path.name for path in cache.iterdir()) == ["linux", "other"]
    testbed("make", "clean", "--cache")
    assert [path.name for path in cache.iterdir()] == ["other"]


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold a lock as a run or a build does."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_a_run_that_goes_on_stays_whatever_is_asked(testbed: Testbed, runs: Path) -> None:
    with held(runs / "killed" / LOCK):
        done = testbed("make", "clean", "--all")
        assert done.stderr == f"stays: {runs / 'killed'}: a run or a build is using it\n"
        assert (runs / "killed" / "cases").is_dir()
    assert str(runs / "killed") in testbed("make", "clean", "--all").stdout.splitlines()


@pytest.mark.parametrize(
    ("lock", "word"),
    [
        ("artifacts/.locks/agent-1.used", "artifacts"),  # a run uses it
        ("artifacts/.locks/agent-1", "artifacts"),  # it is being built again
        ("artifacts/.locks/agent-2", "artifacts"),  # another one is being built
        ("linux/work/abc/lock", "linux"),
    ],
)
def test_what_is_used_or_built_stays(testbed: Testbed, tmp_path: Path, lock: str, word: str) -> None:
    cache = tmp_path / "cache"
    (cache / "artifacts" / "agent-1").mkdir(parents=True)
    (cache / "artifacts" / "agent-1" / "manifest.json").write_text("{}")
    (cache / "linux" / "work" / "abc" / "tree").mkdir(parents=True)
    with held(cache / lock):
        done = testbed("make", "clean", "--cache")
        assert done.returncode == 0
        assert f"stays: {cache / word}: a run or a build is using it" in done.stderr
        assert (cache / lock).exists()
        assert word == "linux" or (cache / "artifacts" / "agent-1").exists() is not lock.endswith("agent-2")
        assert word != "linux" or (cache / "linux" / "work" / "abc" / "tree").exists()
    assert testbed("make", "clean", "--cache").stdout == f"{cache / word}\n"
    assert list(cache.iterdir()) == []


def test_nothing_to_remove_is_said(testbed: Testbed) -> None:
    done = testbed("make", "clean")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing to remove\n")
