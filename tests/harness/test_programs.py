# SPDX-License-Identifier: MIT
"""Programs of suites: compiled once, and the compiler's words where that fails."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from testbed.errors import BuildError, CapabilityError, ConfigError
from testbed.harness.programs import ensure_testbin, install, sources

if TYPE_CHECKING:
    from pathlib import Path

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "suites/one/programs"
    folder.mkdir(parents=True)
    (folder / "say_hello.c").write_text(HELLO)
    return tmp_path / "suites"


def test_programs_are_compiled_once(root: Path) -> None:
    first = ensure_testbin(root)
    assert subprocess.check_output([first["one"] / "say-hello"]) == b"hello\n"
    assert ensure_testbin(root) == first
    (root / "one/programs/say_hello.c").write_text(HELLO.replace("hello", "bye"))
    assert ensure_testbin(root) != first


def test_header_is_an_input(root: Path) -> None:
    first = ensure_testbin(root)
    (root / "one/programs/common.h").write_text("#define X 1\n")
    assert ensure_testbin(root) != first


def test_programs_hold_no_path_of_the_host(root: Path) -> None:
    assert str(root).encode() not in (ensure_testbin(root)["one"] / "say-hello").read_bytes()


def test_compiler_error_has_the_compilers_words(root: Path) -> None:
    (root / "one/programs/bad.c").write_text("int main(void) { int unused; return 0; }\n")
    with pytest.raises(BuildError, match=r"(?s)^/.*gcc refused .*/bad\.c \(exit code 1\):\n.*unused variable 'unused'"):
        ensure_testbin(root)


def test_program_that_does_not_compile_is_no_other_suites_trouble(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "two/programs").mkdir(parents=True)
    (root / "two/programs/bad.c").write_text("not C\n")
    monkeypatch.chdir(root.parent)
    node = FakeNode()
    install(node, "say-hello")  # type: ignore[arg-type]
    assert "/testbin/say-hello" in node.written
    with pytest.raises(BuildError, match=r"refused .*/two/programs/bad\.c"):
        install(node, "bad")  # type: ignore[arg-type]


def test_missing_compiler_is_a_capability_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-cc")
    with pytest.raises(CapabilityError, match=r"^no C compiler: 'no-such-cc' is not on PATH\nhint: apt install gcc"):
        ensure_testbin(root)


def test_program_of_two_suites_is_refused(root: Path) -> None:
    (root / "two/programs").mkdir(parents=True)
    (root / "two/programs/say_hello.c").write_text(HELLO)
    with pytest.raises(ConfigError, match=r"^two suites have a program 'say-hello': "):
        sources(root)


class FakeNode:
    """Keeps what is written into it."""

    def __init__(self) -> None:
        self.written: dict[str, tuple[bytes, int]] = {}

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Keep a file."""
        self.written[path] = (data, mode)


def test_program_is_put_into_a_node(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    node = FakeNode()
    assert install(node, "say_hello") == "/testbin/say-hello"  # type: ignore[arg-type]
    data, mode = node.written["/testbin/say-hello"]
    assert (data[:4], mode) == (b"\x7fELF", 0o755)
    with pytest.raises(ConfigError, match=r"^no suite has a program 'say-helo'; did you mean 'say-hello'\?$"):
        install(node, "say-helo")  # type: ignore[arg-type]
