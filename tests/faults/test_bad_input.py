# SPDX-License-Identifier: MIT
"""Bad input through the real command: unknown names, topologies that cannot be, sources and patches that do not fit."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.errors import CapabilityError
from testbed.libos.linux.patches import series_for
from testbed.libos.linux.source import find_source, read_release
from testbed.libos.linux.worktree import WorkTree
from tests.faults.conftest import need
from tests.rings import lacks

if TYPE_CHECKING:
    import subprocess

    from tests.faults.workshop import Workshop


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "minni"], "error: no suite 'minni'; did you mean 'mini'?\nhint: testbed list suites"),
        (
            ["run", "mini", "--backend", "timetravle"],
            "error: unknown backend 'timetravle'\nhint: did you mean 'timetravel'?",
        ),
        (["run", "mini", "--libos", "linus"], "error: unknown flavor 'linus'\nhint: did you mean 'linux'?"),
        (["exec", "--libos", "linus", "--", "true"], "error: unknown flavor 'linus'\nhint: did you mean 'linux'?"),
        (["run", "mini", "--sed", "3"], "error: No such option: --sed (Possible options: --seed)"),
        (["exec", "-S", "chian", "--", "true"], "error: no scenario 'chian'; did you mean 'chain'?"),
        (["build", "linxu"], "error: unknown flavor 'linxu'\nhint: did you mean 'linux'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_unknown_name_is_refused_with_what_is_near(workshop: Workshop, words: list[str], message: str) -> None:
    workshop.suite("def test_it(network): pass")
    done = workshop.testbed(*words)
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith(message)
    assert not (workshop.folder / "runs").exists(), "nothing was begun"


def test_unknown_option_of_pytest_is_refused(workshop: Workshop) -> None:
    workshop.suite("def test_it(network): pass")
    done = workshop.testbed("run", "mini", "--", "--stal", "3")
    assert done.returncode == 4
    assert "unrecognized arguments: --stal" in done.stderr
    assert not (workshop.folder / "runs").exists()


BAD_CASES = """
    import pytest
    from testbed.scenarios.topology import Link, Node, Shape, Topology

    def twice():
        return Topology(nodes=[Node("h1"), Node("h1")], links=[Link("h1", "h1")])

    def nowhere():
        return Topology(nodes=[Node("h1"), Node("server")], links=[Link("h1", "servre")])

    @pytest.mark.scenario("piar")
    def test_scenario(network): pass

    @pytest.mark.scenario("pair", dealy_ms=3)
    def test_parameter(network): pass

    @pytest.mark.scenario("pair", loss_ratio=1.5)
    def test_loss(network): pass

    @pytest.mark.scenario.with_args(twice)
    def test_twice(network): pass

    @pytest.mark.scenario.with_args(nowhere)
    def test_nowhere(network): pass

    def test_node(network):
        network["h3"]

    def test_good(network):
        network["h1"].run(["true"])
"""


@pytest.mark.guest
def test_bad_topology_of_a_test_file_is_told_and_the_others_run(workshop: Workshop) -> None:
    need("timetravel")
    workshop.suite(BAD_CASES)
    done = workshop.run()
    assert done.returncode == 3, done.stdout
    said = {
        "scenario": r"no scenario 'piar'; did you mean 'pair'\?",
        "parameter": r"scenario 'pair' has no parameter 'dealy_ms'; did you mean 'delay_ms'",
        "loss": r".*loss_ratio.*1\.5.*",
        "twice": r".*'h1'.*",
        "nowhere": r".*'servre'.*did you mean 'server'\?",
        "node": r".*'h3'.*",
    }
    for name, reason in said.items():
        case = workshop.case(name)
        assert case["verdict"] in {"error", "failed"}, case
        assert re.match(reason, case["reason"]), case["reason"]
        assert case["reason"].splitlines()[0] in done.stdout
    assert workshop.case("good")["verdict"] == "passed"


def test_source_that_is_no_kernel_tree(workshop: Workshop) -> None:
    tree = workshop.folder / "tree"
    tree.mkdir()
    (tree / "README").write_text("no kernel")
    done = workshop.testbed("build", "linux", "--source", str(tree))
    assert done.returncode == 4, done.stderr
    assert f"{tree}" in done.stderr
    assert "kernel" in done.stderr
    assert (list(tree.iterdir()), (tree / "README").read_text()) == ([tree / "README"], "no kernel")


def test_source_that_does_not_exist(workshop: Workshop) -> None:
    done = workshop.testbed("build", "linux", "--source", str(workshop.folder / "nowhere"))
    assert done.returncode == 4
    assert f"{workshop.folder}/nowhere" in done.stderr


@pytest.fixture
def tree(workshop: Workshop) -> Path:
    """Make a small kernel tree that testbed's own series fits: the files it touches, as the distribution has them."""
    try:
        unpacked = WorkTree(find_source())
    except CapabilityError as error:
        lacks("timetravel", error)
    with unpacked.locked():
        unpacked.prepare()
        unpacked.apply(series_for(read_release(unpacked.tree).version))
    tree = workshop.folder / "linux"
    shutil.copytree(unpacked.folder / "original", tree)
    for name in ("Makefile", "Kconfig", "Kbuild", "arch/um/Makefile", "init/main.c", "net/ipv4/tcp.c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        if not (tree / name).exists():
            shutil.copy(unpacked.tree / name, tree / name)
    return tree


PATCH = """\
--- a/net/ipv4/tcp.c
+++ b/net/ipv4/tcp.c
@@ -100,3 +100,3 @@
 this is not
-in the file
+at all
 as every reader knows
"""


def build(workshop: Workshop, tree: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Build a tree into a cache of the workshop's own."""
    own = {"TESTBED_CACHE": str(workshop.folder / "cache"), **env}
    return workshop.testbed("build", "linux", "--source", str(tree), *words, env=own)


def test_patch_that_does_not_apply_is_named_with_its_place(workshop: Workshop, tree: Path) -> None:
    patch = workshop.folder / "0001-wrong.patch"
    patch.write_text(PATCH)
    before = (tree / "net/ipv4/tcp.c").read_bytes()
    done = build(workshop, tree, "--patch", str(patch))
    assert done.returncode == 1, done.stderr
    assert "error: patch 0001-wrong.patch does not apply" in done.stderr
    assert re.search(r"net/ipv4/tcp\.c: hunk #1 fails at line 100", done.stderr)
    assert (tree / "net/ipv4/tcp.c").read_bytes() == before


def test_patch_that_is_none(workshop: Workshop, tree: Path) -> None:
    patch = workshop.folder / "letter.txt"
    patch.write_text("Dear Sir,\n")
    done = build(workshop, tree, "--patch", str(patch))
    assert done.returncode == 4, done.stderr
    assert f"{patch} is not a patch in unified format" in done.stderr


def test_missing_compiler_is_told_with_what_to_install(workshop: Workshop, tree: Path) -> None:
    compilers = {
        name for place in os.environ["PATH"].split(":") for name in _names(Path(place), r"(gcc|cc|clang)(-\d+)?")
    }
    path = workshop.without(*compilers)
    done = build(workshop, tree, PATH=path)
    assert done.returncode == 7, done.stderr
    assert re.search(r"gcc|compiler", done.stderr)
    assert "hint: " in done.stderr


def _names(folder: Path, pattern: str) -> set[str]:
    return {path.name for path in folder.glob("*") if re.fullmatch(pattern, path.name)}
