# SPDX-License-Identifier: MIT
"""A machine without a compiler: what is in the store and of the same sources is as good, and is said to be that."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from testbed.agent import build as agent
from testbed.errors import CapabilityError
from testbed.libos import cargo
from testbed.libos.artifacts import ArtifactStore
from testbed.libos.catnap import CATNAP
from testbed.libos.catpowder import CATPOWDER
from testbed.libos.linux import build_linux, builder, toolchain
from testbed.libos.linux.toolchain import Toolchain
from testbed.paths import package_dir


def path_without(folder: Path, *programs: str) -> str:
    """Make a folder that has all programs of PATH but some."""
    folder.mkdir()
    for place in os.get_exec_path():
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            link = folder / program.name
            if program.name not in programs and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def compiled(folder: Path) -> None:
    """Stand for a build: leave a file."""
    (folder / "agent").write_bytes(b"bits")


def test_without_rustc_the_agent_of_the_store_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(tmp_path / "store")
    inputs = {**agent.inputs(), "compiler": "rustc of somebody else"}
    there = store.get_or_build("agent", inputs, compiled)
    store.get_or_build("agent", {**inputs, "sources": "older ones"}, compiled)
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin", "rustc", "cargo"))
    found = agent.ensure_agent(store)
    assert (found.path, found.fresh) == (there.path, False)
    lack = "building the agent needs cargo and rustc, which PATH does not have"
    assert found.instead == f"{there.path.name} from the store, of the same sources: {lack}"


def test_with_rustc_nobody_is_taken_in_place_of_what_can_be_built(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    store.get_or_build("agent", {**agent.inputs(), "compiler": "rustc of somebody else"}, compiled)
    mine = store.get_or_build("agent", agent.inputs(), compiled)
    found = agent.ensure_agent(store)
    assert (found.path, found.instead) == (mine.path, "")


def test_without_rustc_other_sources_are_no_substitute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(tmp_path / "store")
    store.get_or_build("agent", {**agent.inputs(), "sources": "older ones"}, compiled)
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin", "rustc"))
    with pytest.raises(CapabilityError, match=r"^building the agent needs rustc, which PATH does not have"):
        agent.ensure_agent(store)


def test_without_rustc_a_libos_of_the_store_is_taken_and_nothing_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore(tmp_path / "store")
    there = store.get_or_build("catnap", {**CATNAP.inputs(), "compiler": "rustc of somebody else"}, compiled)
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin", "rustc"))
    assert CATNAP.build(store).path == there.path
    assert CATNAP.lacks(store) is None
    assert str(CATNAP.lacks(ArtifactStore(tmp_path / "empty"))).startswith("building catnap needs rustc")


@pytest.fixture
def known_tree(kernel_tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a kernel's source, and let nothing be built from it but a file."""
    assert cache
    monkeypatch.setattr(builder, "_build", lambda *words, **_: compiled(words[-1]))
    monkeypatch.setattr(toolchain, "find", lambda: Toolchain("gcc of somebody else", "ld", None))
    return kernel_tree


def test_without_flex_the_kernel_of_the_store_is_taken(
    known_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = build_linux(known_tree)
    assert there.fresh
    monkeypatch.undo()
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin", "flex"))
    found = build_linux(known_tree)
    assert (found.path, found.fresh) == (there.path, False)
    lack = "cannot build a kernel without flex"
    assert found.instead == f"{there.path.name} from the store, of the same sources: {lack}"
    (known_tree / "init" / "main.c").write_text("changed\n")
    with pytest.raises(CapabilityError, match=rf"^{lack}"):
        build_linux(known_tree)


def test_without_flex_a_tarball_that_was_never_unpacked_is_left_alone(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "linux.tar.xz"
    archive.write_bytes(b"never read")
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin", "flex", "tar"))
    with pytest.raises(CapabilityError, match=r"^cannot build a kernel without flex, tar\n"):
        build_linux(archive)
    assert not (cache / "linux" / "work").exists()


def fake_rust(folder: Path, release: str) -> str:
    """Make a PATH whose cargo and rustc are of some release."""
    folder.mkdir()
    for name in ("cargo", "rustc"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} {release}'; echo 'release: {release}'\n")
        (folder / name).chmod(0o755)
    (folder / "sh").symlink_to(str(shutil.which("sh")))
    return str(folder)


def test_the_oldest_rust_is_what_the_manifests_say() -> None:
    package = package_dir()
    assert cargo.oldest(package / "agent") == (1, 77)
    assert cargo.oldest(package / "libos" / "catnap", package / "libos" / "crates" / "abi") == (1, 77)
    assert cargo.oldest(package / "libos" / "catnap", package / "libos" / "catnip") == (1, 91)


def test_a_rust_that_is_too_old_for_one_is_said_of_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", fake_rust(tmp_path / "bin", "1.85.1-nightly"))
    empty = ArtifactStore(tmp_path / "store")
    assert CATNAP.lacks(empty) is None
    lack = CATPOWDER.lacks(empty)
    assert lack is not None
    assert lack.message == "building catpowder needs Rust 1.91 or later; rustc is 1.85.1-nightly"
    with pytest.raises(CapabilityError, match=r"^building catpowder needs Rust 1\.91 or later"):
        CATPOWDER.build(empty)
    monkeypatch.setenv("PATH", fake_rust(tmp_path / "older", "1.76.0"))
    with pytest.raises(CapabilityError, match=r"^building the agent needs Rust 1\.77 or later; rustc is 1\.76\.0"):
        agent.ensure_agent(empty)
