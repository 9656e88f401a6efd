# SPDX-License-Identifier: MIT
"""Running kbuild: missing programs, its own words on failure, and progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.errors import BuildError, CapabilityError
from testbed.libos.linux import toolchain
from testbed.libos.linux.make import Make
from testbed.libos.linux.progress import BuildProgress, ignore

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = toolchain.Toolchain("gcc", "ld", None)


def _make(tmp_path: Path, recipe: str) -> Make:
    (tmp_path / "Makefile").write_text(f"linux allnoconfig:\n{recipe}")
    log = tmp_path / "build.log"
    return Make(tmp_path, tmp_path / "tb-build", TOOLS, log=log, log_if_failed=log)


def test_missing_programs_are_named_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in toolchain.REQUIRED:
        if program not in {"gcc", "flex"}:
            (tmp_path / program).write_text("#!/bin/sh\n")
            (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CapabilityError) as caught:
        toolchain.find()
    assert caught.value.message == "cannot build a kernel without gcc, flex"
    assert caught.value.hint == "apt-get install flex gcc"


def test_failure_gives_the_compilers_words_and_the_log(tmp_path: Path) -> None:
    make = _make(tmp_path, "\t@echo '  CC      a.o'\n\t@echo 'a.c:3:1: error: expected ;' >&2\n\t@exit 1\n")
    with pytest.raises(BuildError) as caught:
        make.compile(1, None, ignore)
    assert "a.c:3:1: error: expected ;" in caught.value.message
    assert caught.value.message.endswith(f"log: {tmp_path}/build.log")
    assert "a.c:3:1: error: expected ;" in (tmp_path / "build.log").read_text()


def test_steps_are_counted_and_the_total_never_falls_behind(tmp_path: Path) -> None:
    seen: list[BuildProgress] = []
    make = _make(tmp_path, "".join(f"\t@echo '  CC      {name}.o'\n" for name in "abc"))
    assert make.compile(1, 2, seen.append) == 3
    assert [(state.done, state.total, state.detail) for state in seen] == [
        (1, 2, "a.o"),
        (2, 2, "b.o"),
        (3, 3, "c.o"),
    ]


def test_environment_is_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KCFLAGS", "-O0")
    monkeypatch.setenv("KBUILD_BUILD_USER", "me")
    env = toolchain.environment(TOOLS, tmp_path)
    assert "KCFLAGS" not in env
    assert env["KBUILD_BUILD_USER"] == "testbed"


def test_ccache_tells_compilers_apart_by_the_script_before_them(tmp_path: Path) -> None:
    tools = toolchain.Toolchain("gcc", "ld", "ccache")
    checks = [
        toolchain.environment(tools, tmp_path, wrapper=wrapper)["CCACHE_COMPILERCHECK"] for wrapper in (None, "a", "b")
    ]
    assert checks[0] == "content"
    assert len(set(checks)) == 3


def test_configuring_the_same_again_does_nothing(tmp_path: Path) -> None:
    make = _make(tmp_path, "\t@echo y >> tb-build/runs; cp tb-build/tb-fragment.config tb-build/.config\n")
    make.configure("CONFIG_A=y\n")
    make.configure("CONFIG_A=y\n")
    make.configure("CONFIG_B=y\n")
    assert (tmp_path / "tb-build/runs").read_text() == "y\ny\n"
