# SPDX-License-Identifier: MIT
"""Sources: what is a kernel tree, which tarball is newest, and trees that are shared and never written to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from testbed.errors import CapabilityError, ConfigError
from testbed.libos.linux import source
from testbed.libos.linux.worktree import WorkTree

if TYPE_CHECKING:
    from pathlib import Path


def test_newest_tarball_is_by_number(tmp_path: Path) -> None:
    for name in ("linux-source-6.9.tar.xz", "linux-source-6.12.tar.xz", "linux-source-6.1.tar.gz", "linux-7.0.tar.xz"):
        (tmp_path / name).touch()
    assert source.newest_tarball(tmp_path).name == "linux-source-6.12.tar.xz"


def test_no_tarball_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match=r"apt-get install linux-source"):
        source.newest_tarball(tmp_path / "none")


def test_release_is_read_from_the_makefile(kernel_tree: Path) -> None:
    assert source.read_release(kernel_tree) == source.Release((6, 12), "6.12.117")


def test_not_a_tree_says_what_was_looked_for(kernel_tree: Path) -> None:
    (kernel_tree / "arch/um/Makefile").unlink()
    with pytest.raises(ConfigError, match=r"not a Linux kernel tree: looked for Makefile, .*missing arch/um/Makefile"):
        source.find_source(kernel_tree)


@pytest.mark.parametrize(("name", "words"), [("none", "no such file or folder"), ("file.txt", "want a folder or a")])
def test_neither_folder_nor_tarball_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file.txt").touch()
    with pytest.raises(ConfigError, match=words):
        source.find_source(tmp_path / name)


def test_tarball_without_a_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme").write_text("hello")
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "readme", "x/readme")
    with pytest.raises(ConfigError, match=r"x\.tar\.gz is not a Linux kernel tree"):
        source.extract(tmp_path / "x.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tarball_is_unpacked_and_its_release_remembered(kernel_tree: Path, cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "linux-9.9.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        archive.add(kernel_tree, "linux-9.9")
    assert source.describe_tarball(path).release is None
    WorkTree(source.find_source(path)).prepare()
    assert source.describe_tarball(path).release == source.Release((6, 12), "6.12.117")
    assert cache.is_dir()


def _snapshot(tree: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in tree.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_users_tree_is_shared_and_never_written(kernel_tree: Path, cache: Path, tmp_path: Path) -> None:
    patch = tmp_path / "p.patch"
    patch.write_text("--- a/net/core/dev.c\n+++ b/net/core/dev.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n")
    before = _snapshot(kernel_tree)
    tree = WorkTree(source.find_source(kernel_tree), cache)
    tree.prepare()
    tree.apply([patch])
    assert (tree.tree / "net/core/dev.c").read_text() == "one\n2\nthree\n"
    assert (tree.tree / "Kconfig").resolve() == kernel_tree / "Kconfig"
    (tree.tree / "net/core/dev.c").write_text("scribble")
    assert _snapshot(kernel_tree) == before


def test_a_patch_left_out_again_is_seen_by_make(kernel_tree: Path, cache: Path, tmp_path: Path) -> None:
    patch = tmp_path / "p.patch"
    patch.write_text("--- a/net/core/dev.c\n+++ b/net/core/dev.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n")
    tree = WorkTree(source.find_source(kernel_tree), cache)
    tree.prepare()
    tree.apply([patch])
    patched_at = (tree.tree / "net/core/dev.c").stat().st_mtime_ns
    tree.apply([])
    assert (tree.tree / "net/core/dev.c").read_text() == "one\ntwo\nthree\n"
    assert (tree.tree / "net/core/dev.c").stat().st_mtime_ns >= patched_at


def test_edits_additions_and_removals_change_the_digest(kernel_tree: Path, cache: Path) -> None:
    tree = WorkTree(source.find_source(kernel_tree), cache)
    digests = [tree.prepare()]
    edited = kernel_tree / "net/core/dev.c"
    edited.write_text("four\n")
    os.utime(edited, (1, 1))  # an edit whose time lies in the past must be built too
    digests.append(tree.prepare())
    assert (tree.tree / "net/core/dev.c").read_text() == "four\n"
    assert (tree.tree / "net/core/dev.c").stat().st_mtime > 1
    (kernel_tree / "new.c").write_text("x")
    digests.append(tree.prepare())
    edited.unlink()
    digests.append(tree.prepare())
    assert not os.path.lexists(tree.tree / "net/core/dev.c")
    assert len(set(digests)) == 4


def test_what_a_build_in_place_left_is_no_source(kernel_tree: Path, cache: Path) -> None:
    tree = WorkTree(source.find_source(kernel_tree), cache)
    clean = tree.prepare()
    for name in (
        "net/core/dev.o",
        "net/core/.dev.o.cmd",
        "vmlinux",
        ".config",
        "include/generated/autoconf.h",
        ".git/HEAD",
    ):
        (kernel_tree / name).parent.mkdir(parents=True, exist_ok=True)
        (kernel_tree / name).write_text("built")
    (kernel_tree / "scripts").mkdir()
    subprocess.run(["cp", "/bin/true", str(kernel_tree / "scripts/fixdep")], check=True)
    assert tree.prepare() == clean


def test_what_a_killed_build_left_is_removed_by_the_next(kernel_tree: Path, cache: Path) -> None:
    tree = WorkTree(source.find_source(kernel_tree), cache)
    with tree.locked():
        tree.prepare()
    for name in (".extract.abc/linux-6.12/init", "stage.def/net", "keep"):
        (tree.folder / name).mkdir(parents=True)
    (tree.folder / ".unfinished.ghi").write_text("half")
    with tree.locked():
        pass
    assert {path.name for path in tree.folder.iterdir()} == {"keep", "lock", "tree", "index.json", "state.json"}


def test_a_build_that_is_killed_while_it_unpacks_leaves_nothing_for_long(kernel_tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "linux.tar"
    subprocess.run(["tar", "-cf", archive, "-C", kernel_tree.parent, kernel_tree.name], check=True)
    tar = tmp_path / "bin" / "tar"
    tar.parent.mkdir()
    tar.write_text("#!/bin/sh\nkill -9 $PPID\n")
    tar.chmod(0o755)
    tree = WorkTree(source.find_source(archive), tmp_path / "work")
    program = (
        "import pathlib, sys; from testbed.libos.linux import source, worktree\n"
        "tree = worktree.WorkTree(source.find_source(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "with tree.locked(): tree.prepare()"
    )
    env = {**os.environ, "PATH": f"{tar.parent}:{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, "-c", program, archive, tmp_path / "work"], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name[:9] for path in tree.folder.glob(".*")] == [".extract."]
    with tree.locked():
        assert list(tree.folder.glob(".*")) == []
