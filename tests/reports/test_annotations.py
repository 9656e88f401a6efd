# SPDX-License-Identifier: MIT
"""Commands for GitHub's runner: at the right place, not too many, and none that a stranger wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from testbed.harness.records import Failure
from testbed.reports import annotations as marks
from testbed.verdict import Verdict

from .made_up import HOSTILE, case, run

if TYPE_CHECKING:
    from pathlib import Path

# The runner's own reading of a line: actions/runner, ActionCommand.TryParseV2.
COMMAND = re.compile(r"::(?P<name>[a-z-]+)(?: (?P<properties>[^:]*))?::(?P<data>.*)")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder that a job has its repository in, with one test file."""
    file = tmp_path / "repository" / "suites" / "mptcp" / "test_it.py"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "repository"))
    return tmp_path / "repository"


def read(line: str) -> tuple[dict[str, str], str]:
    """Read a command as the runner does: its properties, and its text."""
    found = COMMAND.fullmatch(line)
    assert found is not None, line
    assert found["name"] == "error"
    pairs = (entry.split("=", 1) for entry in (found["properties"] or "").split(","))
    return {name: _unescaped(value) for name, value in pairs}, _unescaped(found["data"])


def _unescaped(text: str) -> str:
    for code, char in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, char)
    return text


def failed(file: str = "suites/mptcp/test_it.py", text: str = "E   assert 1 == 2\nE    +  where") -> Failure:
    return Failure(text, file, 12)


def test_a_failure_stands_at_its_line_with_its_assertion_and_replay() -> None:
    found = run(case(), case(Verdict.FAILED, reason="AssertionError", failure=failed()))
    (line,) = marks.render(found)
    properties, text = read(line)
    assert properties == {
        "title": "failed: test_it.py::test_x",
        "file": "suites/mptcp/test_it.py",
        "line": "12",
    }
    assert text == (
        "assert 1 == 2\n +  where\n\nreplay: testbed run suites/mptcp/test_it.py::test_x --seed 1 --repeat 2"
    )


def test_a_path_that_begins_at_pytests_root_is_given_from_the_repositorys(workspace: Path) -> None:
    found = run(case(Verdict.FAILED, failure=failed("test_it.py")))
    found.environment["rootdir"] = str(workspace / "suites" / "mptcp")
    properties, _ = read(marks.render(found)[0])
    assert properties["file"] == "suites/mptcp/test_it.py"


def test_a_file_that_is_not_in_the_repository_is_named_in_the_text(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").touch()
    found = run(case(Verdict.FAILED, failure=failed("../elsewhere.py")))
    found.environment["rootdir"] = str(tmp_path / "repository")
    properties, text = read(marks.render(found)[0])
    assert properties.keys() == {"title"}
    assert text.startswith("../elsewhere.py:12: assert 1 == 2")


def test_a_case_without_a_known_line_has_its_file() -> None:
    properties, text = read(marks.render(run(case(Verdict.CRASHED, reason="the guest died")))[0])
    assert (properties["file"], "line" in properties) == ("suites/mptcp/test_it.py", False)
    assert text.startswith("the guest died")


def test_problems_beside_the_cases_are_told() -> None:
    properties, text = read(marks.render(run(problems=["cannot collect x"]))[0])
    assert (properties, text) == ({"title": "testbed"}, "cannot collect x")


def test_of_many_failures_the_last_place_counts_the_rest() -> None:
    lines = marks.render(run(*[case(Verdict.FAILED, test=f"test_{n}") for n in range(25)]))
    assert len(lines) == marks.SHOWN
    assert read(lines[-1])[1] == "... and 16 more: see the job's summary"


def test_nothing_bad_gives_nothing() -> None:
    assert marks.render(run(case(), case(Verdict.SKIPPED), case(Verdict.XFAILED))) == []


def test_text_of_strangers_cannot_begin_another_command_or_property() -> None:
    text = f"E   {HOSTILE}\nE   ::add-mask::x\nE   50 %, file=/etc/passwd: a\r\n"
    found = run(case(Verdict.FAILED, test="test_x[::error file=a,line=1::b]", failure=failed(text=text)))
    (line,) = marks.render(found)
    assert len(line.splitlines()) == 1
    properties, told = read(line)
    assert properties.keys() == {"title", "file", "line"}
    assert properties["title"] == "failed: test_it.py::test_x[::error file=a,line=1::b]"
    assert "\n::add-mask::x\n50 %, file=/etc/passwd: a\n" in told


def test_the_runner_is_deaf_while_tests_speak_and_hears_again_after_an_error() -> None:
    lines: list[str] = []

    def speak() -> None:
        with marks.unheard(lines.append):
            lines.append("::add-mask::x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        speak()
    token = lines[0].removeprefix("::stop-commands::")
    assert lines == [f"::stop-commands::{token}", "::add-mask::x", f"::{token}::"]
    assert len(token) == 32
    with marks.unheard(lines.append):
        pass
    assert lines[-1] != f"::{token}::", "a token that was seen must not serve again"


@pytest.mark.parametrize(("value", "active"), [("true", True), ("false", False), (None, False)])
def test_only_a_runner_of_github_is_told(value: str | None, *, active: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    if value is not None:
        monkeypatch.setenv("GITHUB_ACTIONS", value)
    assert marks.active() == active
