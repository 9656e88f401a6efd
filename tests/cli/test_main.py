# SPDX-License-Identifier: MIT
"""The frame of the command line: help, bad words, errors and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from testbed.cli import main
from testbed.cli.reference import commands
from testbed.errors import (
    BuildError,
    CapabilityError,
    ConfigError,
    DeadlineError,
    GuestCrashed,
    InternalError,
    TestbedError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Testbed


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=lambda words: " ".join(words) or "testbed")
def test_every_help_has_an_example(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.call([*words, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Example: testbed {' '.join(words)}".strip() in shown


def test_every_option_is_explained() -> None:
    silent = [
        (words, param.name)
        for words, command in commands()
        for param in command.params
        if not getattr(param, "help", None)
    ]
    assert silent == []


def test_no_command_says_what_to_do_next(testbed: Testbed) -> None:
    done = testbed()
    assert done.returncode == 0
    assert "testbed doctor" in done.stdout
    assert "testbed make test" in done.stdout


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["lits"], "error: No such command 'lits'. Did you mean 'list'?", "hint: testbed --help"),
        (["make", "tset"], "error: No such command 'tset'. Did you mean 'test'?", "hint: testbed make --help"),
        (["doctor", "--jsn"], "error: No such option: --jsn", "hint: testbed doctor --help"),
        (["list", "senarios"], "error: unknown kind of list 'senarios'", "hint: did you mean 'scenarios'?"),
        (["make", "test", "-s", "mtcp"], "error: no suite 'mtcp'; did you mean 'mptcp'", "hint: testbed list suites"),
        (
            ["make", "test", "-e", "dce-tcp-simpel"],
            "error: no suite 'dce-tcp-simpel'; did you mean 'tcp-simple'",
            "hint: testbed list suites",
        ),
        (["make", "test", "--backend", "netsn"], "error: unknown backend 'netsn'", "hint: did you mean 'netns'?"),
        (["run", "mtcp"], "error: no suite 'mtcp'; did you mean 'mptcp'", "hint: testbed list suites"),
        (["run", "suites/none.py"], "error: no suite 'suites/none.py'", "hint: testbed list suites"),
        (["build", "linus"], "error: unknown flavor 'linus'", "hint: did you mean 'linux'?"),
        (["exec", "-S", "piar", "true"], "error: no scenario 'piar'; did you mean 'pair'?", None),
        (["exec", "-S", "pair", "-p", "dely_ms=1", "true"], "error: scenario 'pair' has no parameter 'dely_ms'", None),
        (["exec", "-S", "pair", "-p", "delay_ms", "true"], "error: a parameter is written key=value", "hint: --param"),
        (["exec", "-S", "pair", "--node", "h3", "true"], "error: unknown node 'h3'", "hint: valid: h1, h2"),
        (["exec", "--input", "/no/such", "cat"], "error: cannot read the input '/no/such'", None),
        (["bench", "bot"], "error: unknown figure 'bot'", "hint: did you mean 'boot'"),
        (["check", "ruf"], "error: unknown check 'ruf'", "hint: did you mean 'ruff'?"),
        (["build", "--jobs", "many"], "error: Invalid value for '--jobs'", "hint: testbed build --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_words_name_what_is_near(testbed: Testbed, words: list[str], message: str, hint: str | None) -> None:
    done = testbed(*words)
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    if hint:
        assert f"\n{hint}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TestbedError("no"), 3),
        (ConfigError("no"), 4),
        (CapabilityError("no"), 7),
        (BuildError("no"), 1),
        (GuestCrashed("no"), 6),
        (DeadlineError("no"), 6),
        (InternalError("no"), 3),
        (ZeroDivisionError("no"), 3),
        (KeyboardInterrupt(), 130),
        (typer.Exit(5), 5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_s_class_decides_the_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(typer.Typer, "__call__", lambda _self, **_: _raise(error))
    if isinstance(error, typer.Exit):
        monkeypatch.setattr(typer.Typer, "__call__", lambda _self, **_: error.exit_code)
    assert main.call([]) == code
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, InternalError | ZeroDivisionError)


def _raise(error: BaseException) -> None:
    raise error


def test_a_group_alone_shows_its_help_and_no_empty_error(testbed: Testbed) -> None:
    done = testbed("make")
    assert done.returncode == 4
    assert "menuconfig" in done.stdout
    assert done.stderr == "hint: testbed make --help\n"


def test_debug_shows_the_traceback(testbed: Testbed) -> None:
    assert "Traceback" not in testbed("list", "nothing").stderr
    assert "Traceback" in testbed("--debug", "list", "nothing").stderr
    assert "Traceback" in testbed("list", "nothing", env={"TESTBED_DEBUG": "1"}).stderr


def test_ctrl_c_exits_130(tmp_path: Any) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    words = [sys.executable, "-m", "testbed", "exec", "--input", str(fifo), "--", "cat"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, cwd=tmp_path, text=True, stdin=subprocess.DEVNULL)
    with fifo.open("w"):  # returns once the command reads its input, so it is well past its start
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Any) -> None:
    words = f"'{sys.executable}' -m testbed list scenarios --json | true"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_no_escape_codes_without_a_terminal(testbed: Testbed) -> None:
    for words in (["--help"], ["list", "scenarios"], ["lits"], ["doctor"]):
        done = testbed(*words)
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_of_shells(testbed: Testbed, shell: str) -> None:
    done = testbed("--show-completion", env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}, stdin=shell)
    assert done.returncode in {0, 4}
    found = testbed(
        env={
            "_TESTBED_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": "testbed list sc",
            "COMP_CWORD": "2",
            "_TYPER_COMPLETE_ARGS": "testbed list sc",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
    )
    assert "scenarios" in found.stdout


def test_start_up_cost_is_printed(testbed: Testbed, capsys: pytest.CaptureFixture[str]) -> None:
    """The length is for the reader's eyes: how quick a machine is, no test should judge."""
    begin = time.perf_counter()
    done = testbed("--help")
    with capsys.disabled():
        sys.stdout.write(f"\n  testbed --help: {time.perf_counter() - begin:.3f} s\n")
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("variable", "what", "words"),
    [
        ("TESTBED_CACHE", "cache", ("build", "linux")),
        ("TESTBED_CACHE", "cache", ("make", "testbin")),
        ("TESTBED_CACHE", "cache", ("make", "test", "-s", "tcp-simple", "--backend", "netns")),
    ],
)
def test_a_folder_that_cannot_be_written_is_the_user_s_to_change(
    testbed: Testbed, tmp_path: Path, variable: str, what: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("no folder")
    folder = tmp_path / "file" / "below"
    done = testbed(*words, env={variable: str(folder)})
    assert done.returncode == 4, done.stderr
    lines = done.stderr.splitlines()
    assert lines[-2].startswith(f"error: cannot write to the {what} '{folder}': {folder}")
    assert lines[-2].endswith(": Not a directory")
    assert lines[-1] == f"hint: set {variable} to a folder that you may write to, with room in it"
    assert "Traceback" not in done.stderr
