# SPDX-License-Identifier: MIT
"""Precompiled headers: which files are compiled with them, and that nothing else than time comes of it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.libos.linux import precompiled, toolchain

_ENV = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
_SOURCES = {
    "include/linux/compiler-version.h": "",
    "include/linux/kconfig.h": "#ifndef K\n#define K\n#define KINDS 2\n#endif\n",
    "include/linux/compiler_types.h": "",
    "include/linux/kernel.h": (
        "#ifndef H\n#define H\n#ifdef DEBUG\n#define LEVEL 7\n#else\n#define LEVEL 4\n#endif\n"
        "static inline int kinds(void) { return KINDS; }\n#define here() KBUILD_MODNAME\n#endif\n"
    ),
    "kernel/resource.c": "int resource;\n",
    "kernel/plain.c": "#include <linux/kernel.h>\nint level = LEVEL; const char *name = here();\n",
    "kernel/loud.c": "#define DEBUG\n#include <linux/kernel.h>\nint level = LEVEL;\n",
    "kernel/own.c": "#define OWN 2\n#include <linux/kernel.h>\nint level = LEVEL + OWN;\n",
    "kernel/undone.c": "#undef KINDS\n#include <linux/kernel.h>\nint level = LEVEL;\n",
    "kernel/late.c": "#include <linux/kernel.h>\n#define MINE 1\nint level = LEVEL + MINE;\n",
    "kernel/wrong.c": "#include <linux/kernel.h>\nint level = LEVLE;\n",
    "kernel/warned.c": "#include <linux/kernel.h>\nint f(void) { int unused; return kinds(); }\n",
    "net/plain.c": "#include <linux/kernel.h>\nint level = LEVEL;\n",
}
_FLAGS = (
    "-Wp,-MMD,{folder}/.{name}.o.d -I../include -I ../{folder} -include ../include/linux/compiler-version.h "
    "-include ../include/linux/kconfig.h -include ../include/linux/compiler_types.h -D__KERNEL__ -O2 -Wall "
    "-DKBUILD_MODFILE='\"{folder}/{name}\"' -DKBUILD_MODNAME='\"{name}\"' -D__KBUILD_MODNAME=kmod_{name}"
)


class Tree:
    """A kernel of a few lines, with the commands that kbuild would give."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.build = folder / "tb-build"
        for name, text in _SOURCES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name in ("kernel", "net"):
            (self.build / name).mkdir(parents=True)
        headers = {"core": ("linux/kernel.h",), "net": ("linux/kernel.h",)}
        monkeypatch.setattr(precompiled, "HEADERS", headers)
        self.compiler = precompiled.compiler(self.build)
        self.compile("kernel/resource")

    def command(self, name: str, more: str = "") -> str:
        """Give kbuild's command for an object, by its name without suffix."""
        folder, _, file = name.partition("/")
        flags = _FLAGS.format(folder=folder, name=file)
        return f"{self.compiler} {flags} {more} -c -o {name}.o ../{name}.c"

    def compile(self, name: str, more: str = "") -> tuple[int, str]:
        """Compile one file; its status, and what was said."""
        command = self.command(name, more)
        done = subprocess.run(
            shlex.split(command), cwd=self.build, capture_output=True, text=True, check=False, env=_ENV
        )
        folder, _, file = name.partition("/")
        (self.build / folder / f".{file}.o.cmd").write_text(f"savedcmd_{name}.o := {command} \n\nsource := x\n")
        return done.returncode, done.stderr

    def is_precompiled(self, name: str) -> bool:
        """Say whether the last compilation took the headers from a precompiled one: only then their list was added."""
        folder, _, file = name.partition("/")
        return "tb-headers-" in (self.build / folder / f".{file}.o.d").read_text()

    def value(self, name: str) -> int:
        """Give the first int of an object's data."""
        subprocess.run(["objcopy", "-O", "binary", "-j", ".data", f"{name}.o", "data"], cwd=self.build, check=True)
        return int.from_bytes((self.build / "data").read_bytes()[:4], "little")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    tree = Tree(tmp_path, monkeypatch)
    assert precompiled.precompile(tree.build, _ENV) == ""
    return tree


@pytest.mark.parametrize(
    ("name", "headers", "value"),
    [("kernel/plain", "core", 4), ("net/plain", "net", 4), ("kernel/late", "core", 5), ("kernel/own", "core", 6)],
)
def test_a_file_of_the_usual_kind_takes_them(tree: Tree, name: str, headers: str, value: int) -> None:
    assert tree.compile(name) == (0, "")
    assert tree.is_precompiled(name)
    assert tree.value(name) == value
    text = (tree.build / Path(name).parent / f".{Path(name).name}.o.d").read_text()
    assert f"/{headers}.h" in text
    assert "../include/linux/kernel.h" in text, "a change of it must be seen"
    assert "/dev/fd" not in text


def test_ccache_stands_before_it(tree: Tree, tmp_path: Path) -> None:
    """Through ccache (which adds flags of its own) the same is compiled the same way, also from its store."""
    ccache = shutil.which("ccache")
    if ccache is None:
        pytest.skip("no ccache")
    env = toolchain.environment(toolchain.Toolchain("gcc", "ld", ccache), tree.folder, wrapper=precompiled.digest())
    env["CCACHE_DIR"] = str(tmp_path / "ccache")
    tree.compile("kernel/plain")
    plain = (tree.build / "kernel/plain.o").read_bytes()
    for _ in range(2):
        words = [ccache, *shlex.split(tree.command("kernel/plain"))]
        subprocess.run(words, cwd=tree.build, check=True, env=env)
        assert tree.is_precompiled("kernel/plain")
        assert "../include/linux/kernel.h" in (tree.build / "kernel/.plain.o.d").read_text()
        assert (tree.build / "kernel/plain.o").read_bytes() == plain
        (tree.build / "kernel/.plain.o.d").unlink()
    said = subprocess.run([ccache, "--print-stats"], capture_output=True, text=True, check=True, env=env).stdout
    assert {"direct_cache_hit\t1", "cache_miss\t1"} <= set(said.splitlines())


def test_macros_of_the_file_are_its_own(tree: Tree) -> None:
    tree.compile("kernel/plain")
    assert b"plain\0" in (tree.build / "kernel/plain.o").read_bytes()


def test_a_macro_before_an_include_reaches_the_headers(tree: Tree) -> None:
    assert tree.compile("kernel/loud") == (0, "")
    assert not tree.is_precompiled("kernel/loud")
    assert tree.value("kernel/loud") == 7


def test_a_macro_that_is_undone_before_an_include_is_undone_for_the_headers(tree: Tree) -> None:
    tree.compile("kernel/undone")
    assert not tree.is_precompiled("kernel/undone")


def test_other_flags_reach_the_headers(tree: Tree) -> None:
    assert tree.compile("kernel/plain", "-DDEBUG") == (0, "")
    assert not tree.is_precompiled("kernel/plain")
    assert tree.value("kernel/plain") == 7


def test_the_compilers_words_are_those_of_the_file_alone(tree: Tree) -> None:
    status, words = tree.compile("kernel/wrong")
    assert status == 1
    assert "../kernel/wrong.c:2:13: error: 'LEVLE' undeclared" in words
    assert "tb-headers" not in words
    assert words.count("error:") == 1


def test_warnings_are_passed_on(tree: Tree) -> None:
    status, words = tree.compile("kernel/warned")
    assert status == 0
    assert tree.is_precompiled("kernel/warned")
    assert "unused variable 'unused'" in words


def test_the_reference_never_takes_them(tree: Tree) -> None:
    """It is compiled before there are any: the same again must give the same."""
    tree.compile("kernel/resource")
    assert not tree.is_precompiled("kernel/resource")


def test_headers_that_gcc_cannot_use_are_not_missed(tree: Tree) -> None:
    for file in tree.build.glob("tb-headers-*/*.gch"):
        file.write_bytes(b"no precompiled header")
    assert tree.compile("kernel/plain") == (0, "")
    assert not tree.is_precompiled("kernel/plain")
    assert tree.value("kernel/plain") == 4


def test_they_are_made_again_when_a_header_or_the_flags_change_and_only_then(tree: Tree) -> None:
    def stamp() -> int:
        (file,) = tree.build.glob("tb-headers-*/core.h.gch")
        return file.stat().st_mtime_ns

    first = stamp()
    precompiled.precompile(tree.build, _ENV)
    assert stamp() == first
    header = tree.folder / "include/linux/kernel.h"
    header.write_text(header.read_text().replace("LEVEL 4", "LEVEL 3"))
    precompiled.precompile(tree.build, _ENV)
    second = stamp()
    assert second != first
    tree.compile("kernel/plain")
    assert tree.value("kernel/plain") == 3
    tree.compile("kernel/resource", "-DOTHER")
    precompiled.precompile(tree.build, _ENV)
    assert stamp() != second


def test_other_headers_are_another_command(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kbuild compiles all files again where the command is another one; their bits must not depend on older headers."""
    monkeypatch.setattr(precompiled, "HEADERS", {"core": (), "net": ()})
    assert precompiled.compiler(tree.build) != tree.compiler
    assert len(list(tree.build.glob("tb-headers*"))) == 1


def test_headers_that_do_not_compile_by_themselves_are_done_without(tree: Tree) -> None:
    header = tree.folder / "include/linux/kernel.h"
    header.write_text('static inline const char *who(void) { return "" KBUILD_MODNAME; }\n')
    assert "kernel.h:1:" in precompiled.precompile(tree.build, _ENV)
    (tree.folder / "kernel/plain.c").write_text("#include <linux/kernel.h>\nint level = 4;\n")
    assert tree.compile("kernel/plain") == (0, "")
    assert not tree.is_precompiled("kernel/plain")
    header.write_text("")
    assert precompiled.precompile(tree.build, _ENV) == ""
    tree.compile("kernel/plain")
    assert tree.is_precompiled("kernel/plain")
