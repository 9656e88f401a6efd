# SPDX-License-Identifier: MIT
"""What a newcomer sees first: testbed alone, hints after errors, examples that can be typed."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

import testbed as package
from testbed.cli import main, next_step, reference
from testbed.cli.output import called
from testbed.errors import TestbedError
from testbed.verdict import Verdict
from tests.doc.test_docs import parse
from tests.reports.made_up import case, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.harness.records import RunRecord


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder for runs, none in it, and a cache in which nothing is built."""
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    return tmp_path


def save(folders: Path, made: RunRecord, name: str = "20260101-120000-abcd") -> None:
    (folders / "runs" / name).mkdir(parents=True)
    made.save(folders / "runs" / name)


def test_nothing_built(folders: Path) -> None:
    assert not (folders / "cache").exists()
    text = next_step.advice()
    assert text[0] == "Nothing is built yet. What next?"
    assert "testbed make test" in "\n".join(text)
    assert "testbed doctor" in "\n".join(text)


def test_built_but_no_run(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_step, "_kernel_is_built", folders.exists)
    assert next_step.advice()[0].startswith("The kernel is built, and there is no run")


@pytest.mark.parametrize(
    ("made", "headline", "command"),
    [
        (run(case()), "The last run is good: 1 of 1 cases passed (20260101", "testbed report latest --open"),
        (run(case(Verdict.SKIPPED)), "The last run shows nothing: 0 of 1", "testbed make test"),
        (
            run(case(), case(Verdict.FAILED, test="test_y[a b]", folder="cases/x")),
            "The last run failed (1 of 2 cases; 20260101-120000-abcd). What next?",
            "testbed replay latest 'suites/mptcp/test_it.py::test_y[a b]'",
        ),
        (run(case(), problems=["cannot collect x"]), "The last run failed (cannot collect x;", "testbed report latest"),
        (run(case(), state="interrupted"), "The last run was interrupted", "testbed run"),
        (run(case(), state="running"), "The last run still runs, or was killed", "testbed run"),
    ],
)
def test_after_a_run(folders: Path, made: RunRecord, headline: str, command: str) -> None:
    save(folders, run(case(Verdict.CRASHED)), "20250101-000000-0000")
    save(folders, made)
    text = next_step.advice()
    assert text[0].startswith(headline)
    assert any(line.startswith(f"  {command}") for line in text)


def test_after_a_command_it_is_not_called_good(folders: Path) -> None:
    """``exec -- false`` leaves a whole record, which says nothing of a test."""
    made = run(case(suite="exec", folder="cases/exec/false"), command=["testbed", "exec", "--", "false"])
    save(folders, made)
    text = next_step.advice()
    assert text[0].startswith("The last run is the record of testbed exec -- false (")
    assert "testbed packets latest" in "\n".join(text)


def test_columns_stay_where_they_are(folders: Path) -> None:
    save(folders, run(case(Verdict.FAILED, test="test_" + "long" * 30, folder="x"), case(Verdict.FAILED, folder="y")))
    text = next_step.advice()[2:]
    words = ("failed: the same", "the report:", "all commands")
    starts = {line.index(word) for line in text for word in words if word in line}
    assert len(starts) == 1, text


def test_examples_name_cases_of_a_full_run() -> None:
    """A word that one test of the suites has: what ``replay``, ``packets`` and ``diff`` want."""
    suites = Path(__file__).resolve().parent.parent.parent / "suites"
    tests = [name for file in suites.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())]
    wanted = {"replay", "packets", "diff"}
    examples = [command.epilog for path, command in reference.commands() if path and path[-1] in wanted]
    assert len(examples) == 3
    for example in examples:
        (word,) = re.findall(r"\btest_\w+", example)
        assert len([name for name in tests if word in name]) == 1, word


def test_usage_has_no_doubled_brackets() -> None:
    assert "[[" not in reference.render()


def test_a_run_that_cannot_be_read_is_no_traceback(folders: Path) -> None:
    (folders / "runs" / "x").mkdir(parents=True)
    (folders / "runs" / "x" / "run.json").write_text("{")
    assert next_step.advice()[0].startswith("The last run cannot be read: ")


def test_what_is_advised_can_be_typed(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [next_step.advice()]
    monkeypatch.setattr(next_step, "_kernel_is_built", lambda: True)
    texts.append(next_step.advice())
    for number, made in enumerate((run(case()), run(case(Verdict.FAILED, folder="x")), run(case(), state="running"))):
        save(folders, made, f"2026010{number + 1}-120000-abcd")
        texts.append(next_step.advice())
    commands = {line.strip().partition("  ")[0] for text in texts for line in text[2:]}
    assert len(commands) > 5
    assert [said for command in commands if (said := parse(shlex.split(command)[1:]))] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("testbed list suites", "./testbed.sh list suites"),
        ("testbed --help, or testbed make test", "./testbed.sh --help, or ./testbed.sh make test"),
        ("a testbed for network code", "a ./testbed.sh for network code"),
        ("testbed-runs and ./testbed.sh and testbed.", "testbed-runs and ./testbed.sh and testbed."),
    ],
)
def test_hints_name_what_can_be_typed(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(text) == text
    monkeypatch.setenv("TESTBED_PROGRAM", "./testbed.sh")
    assert called(text) == shown


PROGRAMS = ("__main__", "mininet_driver", "mininet_reader")  # the last two for the Python that has Mininet


def errors() -> Iterator[type[TestbedError]]:
    """Walk through the tree of testbed's errors, in whatever module they are."""
    for module in pkgutil.walk_packages(package.__path__, "testbed."):
        if not module.name.endswith(PROGRAMS):
            importlib.import_module(module.name)

    def below(kind: type[TestbedError]) -> Iterator[type[TestbedError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    return below(TestbedError)


def test_every_error_ends_with_a_hint(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = list(errors())
    assert len(kinds) > 7
    for kind in kinds:
        for given, shown in ((None, kind.usual_hint), ("do this", "do this")):
            error = kind.__new__(kind)
            TestbedError.__init__(error, "it went wrong", hint=given)

            def fails(_self: object, error: TestbedError = error, **_: object) -> None:
                raise error

            monkeypatch.setattr(typer.Typer, "__call__", fails)
            main.call([])
            said = capsys.readouterr().err.splitlines()
            assert f"hint: {shown}" in said[-2:], kind
            assert "error: it went wrong" in said, kind


@pytest.mark.parametrize("path", [path for path, _ in reference.commands() if path], ids=" ".join)
def test_the_example_of_a_command_can_be_typed(path: tuple[str, ...]) -> None:
    command = dict(reference.commands())[path]
    example = (command.epilog or "").removeprefix("Example: ").partition(" > ")[0].partition(" | ")[0]
    words = shlex.split(example)
    assert words[: len(path) + 1] == ["testbed", *path]
    assert parse(words[1:]) == ""
