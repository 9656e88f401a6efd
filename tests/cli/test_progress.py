# SPDX-License-Identifier: MIT
"""Progress without a terminal: what is done, and how long is left."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING

import pytest

from testbed.cli import former, progress

if TYPE_CHECKING:
    from pathlib import Path


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        """Give its time."""
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(progress, "time", found)
    return found


def test_lines_say_step_share_and_time_left(clock: Time, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("linux", 100.0) as report:
        report("source", 0, 0)
        clock.now_s += 10
        report("compile", 0, 200)
        clock.now_s += 20
        report("compile", 100, 200)
        report("compile", 101, 200)  # no tenth more: no line
        clock.now_s += 30
        report("compile", 200, 200)
    assert capsys.readouterr().err.splitlines() == [
        "linux: source (0 s, about 100 s left)",
        "linux: compile 0/200 (10 s, about 90 s left)",
        "linux: compile 100/200 (30 s, about 20 s left)",
        "linux: compile 200/200 (60 s)",
    ]


def test_lines_go_on_where_nobody_knows_how_many_steps_there_are(
    clock: Time, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.progress("linux") as report:
        for done in range(1, 202):
            clock.now_s += 1
            report("compile", done, 0)
    assert capsys.readouterr().err.splitlines() == [
        "linux: compile (1 s)",
        "linux: compile 100 (100 s)",
        "linux: compile 200 (200 s)",
    ]


def test_without_a_last_time_nothing_is_promised_at_first(clock: Time, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("linux") as report:
        report("compile", 1, 100)
        clock.now_s += 5
        report("compile", 50, 100)
    assert capsys.readouterr().err.splitlines() == [
        "linux: compile 1/100 (0 s)",
        "linux: compile 50/100 (5 s, about 5 s left)",
    ]


def test_waiting_tells_only_of_what_takes_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.waiting("agent: compiling", 40.0):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_MOMENT_S", 0.0)
    monkeypatch.setattr(progress, "_HEARTBEAT_S", 0.01)
    told: list[str] = []
    enough = threading.Event()

    def take(text: str) -> None:
        told.append(text)
        if len(told) == 3:
            enough.set()

    monkeypatch.setattr(progress, "note", take)
    with progress.waiting("agent: compiling", 40.0):
        assert enough.wait(30)
    assert told[0] == "agent: compiling ... (about 40 s left)"
    assert re.fullmatch(r"agent: compiling \.\.\. \(0 s so far, about 40 s left\)", told[1])


def test_former_builds_are_asked_for_their_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path))
    assert former.build_s("linux") is None
    from testbed.libos.artifacts import ArtifactStore  # noqa: PLC0415 (after the cache was chosen)

    made = ArtifactStore().get_or_build("linux-6.12", {"x": 1}, lambda folder: (folder / "linux").touch())
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert former.build_s("linux") == pytest.approx(manifest["build_s"])
    assert former.build_s("agent") is None
