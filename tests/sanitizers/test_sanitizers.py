# SPDX-License-Identifier: MIT
"""What cannot run under a sanitizer says so, and is no pass."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from testbed.errors import ExitCode
from testbed.paths import package_dir
from tests.sanitizers import __main__ as sanitizers
from tests.sanitizers.runs import RUNS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, rustup: str | None, *words: str) -> int:
    """Run the check with another ``rustup``, or none, and no other program."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("sys.argv", ["sanitizers", *words])
    for name, text in (("rustup", rustup), ("cargo", "exit 3")):
        if text is not None:
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
    return sanitizers.main()


def test_without_rustup_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, None) == ExitCode.CANNOT
    assert capsys.readouterr().out == (
        "error: sanitizers need a nightly toolchain, and there is no rustup\n"
        "hint: rustup toolchain install nightly --component rust-src --component miri\n"
    )


def test_without_the_toolchain_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "echo no such toolchain >&2; exit 1") == ExitCode.CANNOT
    assert capsys.readouterr().out.startswith("error: sanitizers need the toolchain nightly: no such toolchain\nhint: ")


def test_a_component_that_is_missing_is_named_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "echo rust-std-x86_64-unknown-linux-gnu; echo rust-src") == ExitCode.CANNOT
    out = capsys.readouterr().out
    assert "error: miri needs: rustup component add --toolchain nightly miri\n" in out
    # cargo, which fails here, was asked for the other two.
    assert re.findall(r"^FAIL  (\w+)$", out, re.MULTILINE) == [run.name for run in RUNS]


def test_an_unknown_sanitizer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, None, "memory") == ExitCode.USAGE
    assert capsys.readouterr().out == "error: no such sanitizer: memory; there are: address, thread, miri\n"


def test_the_crates_are_the_workspace_s() -> None:
    manifest = (package_dir() / "libos" / "Cargo.toml").read_text()
    members = {member.rpartition("/")[2] for member in re.findall(r'^    "([\w/]+)",$', manifest, re.MULTILINE)}
    for what in RUNS:
        crates = {word for before, word in zip(what.words, what.words[1:], strict=False) if before == "-p"}
        assert crates
        assert crates <= members
