# SPDX-License-Identifier: MIT
"""prune: takes what it was told to, and every guard holds."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from testbed.cli.main import call
from testbed.cli.prune import age_s
from testbed.harness import prune
from testbed.harness.records import CaseRecord, RunRecord
from testbed.harness.runfolder import RunFolder, in_use
from testbed.libos.artifacts import ArtifactStore, hold
from testbed.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

NOW_S = 1_700_000_000.0
DAY_S = 86400.0


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of four runs, 1, 2, 3 and 40 days old at NOW_S; and a cache of its own."""
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    for days in (40, 3, 2, 1):
        make(tmp_path / "runs" / f"run-{100 - days}", days)
    (tmp_path / "runs" / "latest").symlink_to("run-99")
    return tmp_path / "runs"


def make(folder: Path, days: float, *, state: str = "finished", artifacts: dict[str, str] | None = None) -> Path:
    """Make a run of an age, with some bytes in it."""
    (folder / "cases" / "s" / "c" / "1").mkdir(parents=True)
    (folder / "cases" / "s" / "c" / "1" / "stdout").write_bytes(b"x" * 1000)
    started = dt.datetime.fromtimestamp(NOW_S - days * DAY_S, tz=dt.UTC).isoformat()
    cases = [CaseRecord("suites/s/t.py::c", "s", "c", Verdict.PASSED, artifacts=artifacts or {})]
    RunRecord(state, started, [], 1, 2, "timetravel", "linux", {}, cases=cases).save(folder)
    return folder


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def prune_now(*words: str) -> int:
    """Run the command."""
    return call(["prune", *words])


@pytest.mark.parametrize(
    ("keep", "older_days", "gone"),
    [
        (2, None, ["run-60", "run-97"]),
        (0, None, ["run-60", "run-97", "run-98", "run-99"]),
        (9, None, []),
        (None, 2.5, ["run-60", "run-97"]),
        (3, 2.5, ["run-60"]),
        (1, 30, ["run-60"]),
        (None, None, []),
    ],
)
def test_rules(keep: int | None, older_days: float | None, gone: list[str]) -> None:
    older_s = None if older_days is None else older_days * DAY_S
    assert names(prune.plan(NOW_S, keep=keep, older_s=older_s).runs) == gone


def test_removes_and_tells_bytes_and_repairs_latest(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "mine").mkdir()
    (runs / "mine" / "notes").write_text("keep me")
    size = prune.size_bytes(runs / "run-99")
    assert size > 1000
    assert prune_now("--keep", "0") == 0
    done = capsys.readouterr()
    assert [line.split()[1] for line in done.out.splitlines()] == [
        str(runs / f"run-{number}") for number in (60, 97, 98, 99)
    ]
    assert int(done.out.splitlines()[-1].split()[0]) == size
    assert re.search(r"^4 runs and 0 artifacts removed: \d+ bytes", done.err, re.MULTILINE)
    assert names(list(runs.iterdir())) == ["mine"]
    assert (runs / "mine" / "notes").read_text() == "keep me"


def test_latest_points_to_what_is_left(runs: Path) -> None:
    (runs / "latest").unlink()
    (runs / "latest").symlink_to("run-60")
    assert prune_now("--keep", "2") == 0
    assert (runs / "latest").resolve().name == "run-99"


def test_dry_run_removes_nothing(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(runs.rglob("*"))
    assert prune_now("--keep", "1", "--artifacts", "--dry-run") == 0
    done = capsys.readouterr()
    assert len(done.out.splitlines()) == 3
    assert "3 runs and 0 artifacts would be removed" in done.err
    assert sorted(runs.rglob("*")) == before


def stays(*, keep: int) -> dict[str, str]:
    return {path.name: reason for path, reason in prune.plan(NOW_S, keep=keep).stays}


def test_a_run_that_goes_on_stays_until_it_ends(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another process holds it: what it held ends with it, even if it is killed."""
    code = "import sys, pathlib; from testbed.harness.runfolder import RunFolder\n"
    code += "RunFolder(pathlib.Path(sys.argv[1])).make(); print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(runs / "run-60")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert stays(keep=0) == {"run-60": "a run is using it"}
        assert not prune.remove_run(runs / "run-60")
        assert prune_now("--keep", "0") == 0
        assert names([path for path in runs.iterdir() if path.is_dir() and not path.is_symlink()]) == ["run-60"]
        assert "run-60: a run is using it" in capsys.readouterr().err
        holder.kill()
    assert (runs / "run-60" / ".lock").exists()
    assert prune_now("--keep", "0") == 0
    assert list(runs.iterdir()) == []


def test_a_run_lets_go_at_its_end(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "new")
    folder.make()
    assert in_use(folder.path)
    folder.release()
    folder.release()
    assert not in_use(folder.path)
    assert not (folder.path / ".lock").exists()


def test_a_run_that_never_ended_stays(runs: Path) -> None:
    make(runs / "run-10", 90, state="running")
    assert stays(keep=0) == {"run-10": "it has not ended, and nobody knows whether it goes on"}


def test_a_run_that_cannot_be_read_stays(runs: Path) -> None:
    (runs / "run-60" / "run.json").write_text("{")
    (runs / "run-97" / "run.json").write_text(json.dumps({"schema": 99}))
    found = stays(keep=0)
    assert found["run-60"].startswith("cannot be read: cannot read the run ")
    assert "has schema 99" in found["run-97"]
    assert names(prune.plan(NOW_S, keep=0).runs) == ["run-98", "run-99"]


def test_a_run_with_a_file_of_the_user_stays(runs: Path) -> None:
    (runs / "run-60" / "notes.txt").write_text("mine")
    assert stays(keep=0) == {"run-60": "testbed did not make 'notes.txt' in it"}


def test_a_link_to_a_run_elsewhere_is_not_followed(runs: Path, tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", 90)
    (runs / "elsewhere").symlink_to(outside)
    assert prune_now("--keep", "0") == 0
    assert (outside / "run.json").exists()
    assert (runs / "elsewhere").is_symlink()


def test_replays_are_runs_too(runs: Path) -> None:
    make(runs / "replays" / "run-59", 41)
    assert names(prune.plan(NOW_S, keep=4).runs) == ["run-59"]


def test_what_a_killed_prune_left_is_finished(runs: Path) -> None:
    grave = runs / ".prune-abc" / "run-1"
    make(grave, 90)
    assert "run-1" not in names(prune.plan(NOW_S, keep=0).runs)
    assert prune_now("--keep", "9") == 0
    assert not (runs / ".prune-abc").exists()


def test_without_a_rule_it_refuses(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune_now() == 4
    assert "prune wants to know what may go" in capsys.readouterr().err
    assert prune_now("--older", "soon") == 4
    assert re.search(r"an age is a number and one of s m h d w, found 'soon'", capsys.readouterr().err)
    assert len(list(runs.iterdir())) == 5


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 30 * DAY_S), ("12h", 43200), ("2w", 14 * DAY_S), ("1.5m", 90), ("7", 7 * DAY_S)]
)
def test_ages(text: str, seconds: float) -> None:
    assert age_s(text) == seconds


def artifact(name: str, version: int, days: float) -> Path:
    """Publish an artifact, and make it so old."""

    def build(folder: Path) -> None:
        (folder / "rootfs").mkdir()
        (folder / "rootfs" / "program").write_text(f"{name} {version}")

    path = ArtifactStore().get_or_build(name, {"version": version}, build).path
    os.utime(path / "manifest.json", (NOW_S - days * DAY_S, NOW_S - days * DAY_S))
    return path


def doomed(**rules: float) -> list[str]:
    older_s = rules.get("older_days", 0) * DAY_S or None
    keep = int(rules["keep"]) if "keep" in rules else None
    return names(prune.plan(NOW_S, keep=keep, older_s=older_s, artifacts=True).artifacts)


def test_superseded_artifacts_go_and_the_newest_stays() -> None:
    old, new, other = artifact("agent", 1, 5), artifact("agent", 2, 4), artifact("linux-6.12", 1, 50)
    assert doomed() == [old.name]
    assert doomed(older_days=30) == sorted([old.name, other.name])
    assert new.name not in doomed(older_days=4.5)


def test_artifacts_that_a_run_which_stays_names_are_kept(runs: Path) -> None:
    old = artifact("agent", 1, 5)
    artifact("agent", 2, 4)
    make(runs / "run-95", 5, artifacts={old.name: hashlib.sha256().hexdigest()})
    assert doomed() == []
    assert doomed(keep=3) == [old.name]  # that run goes, too


def test_an_artifact_in_use_stays_and_using_it_makes_it_young() -> None:
    old = artifact("agent", 1, 5)
    artifact("agent", 2, 4)
    code = "import sys, pathlib; from testbed.libos.artifacts import hold\n"
    code += "hold(pathlib.Path(sys.argv[1]) / 'rootfs' / 'program'); print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(old)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        used = ArtifactStore().root / ".locks" / f"{old.name}.used"
        os.utime(used, (NOW_S - 9 * DAY_S, NOW_S - 9 * DAY_S))
        found = prune.plan(NOW_S, artifacts=True)
        assert (names(found.artifacts), found.stays) == ([], [(old, "a run is using it, or it is being built")])
        assert not prune.remove_artifact(old)
        holder.kill()
    assert doomed() == [old.name]
    os.utime(used, (NOW_S, NOW_S))
    assert old.name not in doomed()  # the one that was used last is the newest


def test_an_artifact_that_is_being_built_stays() -> None:
    old = artifact("agent", 1, 5)
    artifact("agent", 2, 4)
    with (ArtifactStore().root / ".locks" / old.name).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert doomed() == []
        assert not prune.remove_artifact(old)
    assert prune.remove_artifact(old)
    assert not old.exists()


def test_what_is_no_artifact_stays() -> None:
    artifact("agent", 1, 5)
    artifact("agent", 2, 4)
    root = ArtifactStore().root
    (root / "notes").mkdir()
    (root / "agent-mine").mkdir()
    (root / "agent-mine" / "manifest.json").write_text('{"format": 1, "name": "agent", "key": "ffff"}')
    (root / "agent-link").symlink_to(root / "notes")
    assert prune_now("--artifacts", "--older", "0s") == 0
    assert sorted(names(list(root.iterdir()))) == [".locks", "agent-link", "agent-mine", "notes"]


def test_holding_what_is_no_artifact_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "linux").write_text("")
    hold(tmp_path / "linux")
    assert names(sorted(tmp_path.iterdir())) == ["linux", "runs"]
