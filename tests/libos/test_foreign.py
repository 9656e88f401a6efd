# SPDX-License-Identifier: MIT
"""``testbed.toml``: found, checked word by word, built in a copy, refused where the ABI does not fit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.errors import BuildError, CapabilityError, ConfigError
from testbed.libos import foreign_build, foreign_flavor
from testbed.libos.flavor import flavor, flavors
from testbed.libos.foreign import find_file, foreign, load
from testbed.libos.library import find_library, host_program
from tests.libos.broken import INCLUDE, SOURCE

GOOD = """
[libos.mystack]
abi = "demi"
source = "../mystack"
build = "make"
artifact = "lib/libmystack.so"
"""


@pytest.fixture(scope="session")
def program() -> Path:
    """Give our host program, from the user's own cache."""
    return host_program()


@pytest.fixture
def project(tmp_path: Path, program: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the sources of a LibOS, and a folder beside them for the ``testbed.toml``; that is the current one."""
    assert program.is_file()
    assert cache
    tree = tmp_path / "mystack"
    (tree / "include").mkdir(parents=True)
    shutil.copy(SOURCE, tree / "small.c")
    shutil.copy(INCLUDE / "demi.h", tree / "include" / "demi.h")
    (tree / "Makefile").write_text(
        "lib/libmystack.so: small.c\n\tmkdir -p lib\n\tgcc $(FLAGS) -fPIC -shared -Iinclude -o $@ $<\n"
    )
    folder = tmp_path / "tests"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TESTBED_TOML", raising=False)
    return folder


def declare(folder: Path, text: str) -> Path:
    file = folder / "testbed.toml"
    file.write_text(text)
    return file


def test_the_file_is_found_in_a_folder_above(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_file(project) is None or find_file(project).parent not in (project, *project.parents[:2])  # type: ignore[union-attr]
    file = declare(project, GOOD)
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert find_file() == file
    assert set(foreign()) == {"mystack"}
    assert "mystack" in flavors()
    monkeypatch.setenv("TESTBED_TOML", str(project / "none.toml"))
    with pytest.raises(ConfigError, match=r"^TESTBED_TOML names '.*/none.toml', which is no file$"):
        find_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[libos.mystack]", "[libos.mystack"), "is no TOML"),
        (("[libos.mystack]", "[libso.mystack]"), r"unknown table \[libso\]; did you mean 'libos'\?$"),
        (('abi = "demi"', 'abi = "demo"'), r"\[libos.mystack\]: abi is 'demo'; did you mean 'demi'\?$"),
        (('abi = "demi"', ""), r"\[libos.mystack\]: abi is missing; valid: demi, kernel, preload$"),
        (("build =", "biuld ="), r"key 'biuld' is not known for abi 'demi'; did you mean 'build'\?$"),
        (('build = "make"', "build = 3"), r"build must be a string, found 3$"),
        (('build = "make"', ""), r"build is missing; abi 'demi' needs source, build, artifact$"),
        (('build = "make"', 'build = "make"\nskip = { "udp-*" = 1 }'), r"skip must be a table of strings, found"),
        (('build = "make"', 'build = "make"\nskip = { "udp-*" = " " }'), r"skip of 'udp-\*' has no reason$"),
        (('build = "make"', 'build = "make"\ncommand = "x"'), r"key 'command' is not known for abi 'demi'"),
        (('build = "make"', 'build = "make"\nabilities = ["tpc"]'), r"abilities has 'tpc'; did you mean 'tcp'\?$"),
        (('build = "make"', 'build = "make"\nconfig = "no.j2"'), r"config 'no.j2': there is no file .*/no.j2$"),
        (('"../mystack"', '"../nothing"'), r"source '../nothing': there is no folder .*/nothing$"),
        (
            ('"../mystack"', '"file:///x.git"'),
            r"source 'file:///x.git' is a URL, and revision is missing: which commit\?",
        ),
        (('"lib/lib', '"../lib/lib'), r"artifact '../lib/libmystack.so' must be a path inside of the source$"),
    ],
)
def test_what_is_wrong_is_said(project: Path, change: tuple[str, str], words: str) -> None:
    file = declare(project, GOOD.replace(*change))
    with pytest.raises(ConfigError, match=words) as wrong:
        load(file)
    assert str(wrong.value).startswith(str(file))


def test_a_name_of_ours_is_refused(project: Path) -> None:
    declare(project, GOOD.replace("mystack]", "linux]"))
    with pytest.raises(ConfigError, match=r"\[libos.linux\] has the name of one of testbed's own flavors$"):
        flavors()


def test_it_is_built_in_a_copy_and_once(project: Path) -> None:
    declare(project, GOOD + 'env = { FLAGS = "-O1" }\n')
    first = find_library("mystack")
    assert first.file.name == "libmystack.so"
    assert first.env == {"FLAGS": "-O1"}
    assert {path.name for path in (project.parent / "mystack").iterdir()} == {"include", "Makefile", "small.c"}
    assert flavor("mystack").build().fresh is False
    with (project.parent / "mystack" / "small.c").open("a") as stream:
        stream.write("/* another one */\n")
    assert flavor("mystack").build().fresh is True


def test_a_build_that_fails_shows_its_words(project: Path) -> None:
    declare(project, GOOD.replace('"make"', '"echo compiling; exit 3"'))
    with pytest.raises(BuildError, match=r"(?s)mystack does not build \(exit code 3\):.*compiling\nlog: ") as failed:
        flavor("mystack").build()
    assert "compiling" in Path(failed.value.message.rpartition("log: ")[2]).read_text()
    declare(project, GOOD.replace('"make"', '"true"'))
    with pytest.raises(BuildError, match=r"mystack: the build left no lib/libmystack.so"):
        flavor("mystack").build()


def test_an_artifact_that_does_not_fit_is_refused_with_all_that_differs(project: Path) -> None:
    header = project.parent / "mystack" / "include" / "demi.h"
    header.write_text(
        header.read_text()
        .replace("    int64_t qr_ret;", "    int64_t qr_ret, qr_more;")
        .replace("sizeof(demi_qresult_t) == 64", "sizeof(demi_qresult_t) == 72")
    )
    declare(project, GOOD + 'header = "include/demi.h"\nenv = { FLAGS = "-DBROKEN_SYMBOL" }\n')
    with pytest.raises(BuildError) as refused:
        flavor("mystack").build()
    assert refused.value.message.splitlines() == [
        "mystack: lib/libmystack.so does not fit the C ABI:",
        "  no function demi_pop",
        "  demi_qresult_t has 72 bytes, not 64",
    ]


def test_a_file_that_is_no_library_is_refused(tmp_path: Path, program: Path) -> None:
    file = tmp_path / "libx.so"
    file.write_text("no ELF")
    (line,) = foreign_build.missing_symbols(file, program)
    assert line.startswith(f"cannot load {file}: ")


def git(folder: Path, *words: str) -> str:
    config = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *config, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_git_revision_is_built_as_it_was(project: Path) -> None:
    tree = project.parent / "mystack"
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        git(tree, *words)
    (tree / "small.c").write_text("#error later\n")
    git(tree, "commit", "-q", "-a", "-m", "two")
    declare(project, GOOD.replace('"../mystack"', f'"file://{tree}"\nrevision = "v1"'))
    assert find_library("mystack").file.is_file()
    declare(project, GOOD.replace('"../mystack"', f'"file://{tree}"\nrevision = "main"'))
    with pytest.raises(BuildError, match="error later"):
        flavor("mystack").build()
    declare(project, GOOD.replace('"../mystack"', f'"file://{tree}"\nrevision = "v2"'))
    with pytest.raises(ConfigError, match="has no revision 'v2'") as wrong:
        flavor("mystack").build()
    assert wrong.value.hint == "it has main, v1"


def test_what_it_requires_is_looked_for(project: Path) -> None:
    declared = load(declare(project, GOOD + 'requires = ["program:no-such-tool", "mptcp"]\n'))["mystack"]
    with pytest.raises(CapabilityError, match="mystack requires program:no-such-tool, which PATH does not have"):
        foreign_flavor.check_machine(declared)
    assert foreign_flavor.kernel_capabilities(declared, ["mptcp", "sctp"]) == ("mptcp",)
    with pytest.raises(ConfigError, match="requires 'mptcp'; valid: dpdk, program:NAME, sctp"):
        foreign_flavor.kernel_capabilities(declared, ["sctp"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"no header include/types\.h"),
        ("struct oops {\n", r"include/types\.h: "),
        ('#include "no_such_file.h"\n', r"include/types\.h: no_such_file\.h: No such file"),
    ],
    ids=["missing", "not C", "includes what is not there"],
)
def test_a_header_that_cannot_be_used_is_said(project: Path, text: str | None, words: str) -> None:
    if text is not None:
        (project.parent / "mystack" / "include" / "types.h").write_text(text)
    declare(project, GOOD + 'header = "include/types.h"\n')
    with pytest.raises(BuildError, match=words):
        flavor("mystack").build()


VALUES = {"node": "h1", "address": "10.0.1.1"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% if %}", r"^mystack: .*/mine\.j2, line 1: "),
        ("one\n{{ adress }}", r"(?s)^mystack: .*/mine\.j2: 'adress' is undefined\nhint: there are: address, node$"),
    ],
)
def test_a_template_of_a_users_is_rendered_and_what_is_wrong_in_it_said(project: Path, text: str, words: str) -> None:
    declare(project, GOOD + 'config = "mine.j2"\n')
    (project / "mine.j2").write_text("who: {{ node }} {{ address }}\n")
    found = find_library("mystack")
    assert found.render(VALUES) == "who: h1 10.0.1.1"
    (project / "mine.j2").write_text(text)
    with pytest.raises(ConfigError, match=words):
        found.render(VALUES)
    (project / "mine.j2").unlink()
    with pytest.raises(
        ConfigError, match=r"^mystack: cannot read its template .*/mine\.j2: No such file or directory$"
    ):
        found.render(VALUES)


def test_a_wrapper_has_its_artifact_in_the_node(project: Path) -> None:
    text = '[libos.wrap]\nabi = "preload"\nsource = "../mystack"\nbuild = "make"\nartifact = "lib/libmystack.so"\n'
    declare(project, text + 'command = "env LD_PRELOAD={artifact}"\n')
    declared = foreign()["wrap"]
    found = foreign_flavor.wrapper(declared)
    assert found.words == ("env", "LD_PRELOAD=/libos/wrap/libmystack.so")
    assert [file.name for file in found.files.values()] == ["libmystack.so"]


def test_a_kernel_goes_through_the_builder_of_linux(project: Path, kernel_tree: Path) -> None:
    (project / "mine.config").write_text("CONFIG_NET=y\n")
    declare(project, f'[libos.mykernel]\nabi = "kernel"\nsource = "{kernel_tree}"\nconfig = "mine.config"\n')
    before = sorted(kernel_tree.rglob("*"))
    with pytest.raises((BuildError, ConfigError), match=r"patch|9\.9|6\.12"):
        foreign_flavor.kernel(foreign()["mykernel"])
    assert sorted(kernel_tree.rglob("*")) == before
