# SPDX-License-Identifier: MIT
"""Patches: the right series, and a failure that names patch, file and hunk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from testbed.errors import BuildError, ConfigError
from testbed.libos.linux import patches

if TYPE_CHECKING:
    from pathlib import Path


def _patch(path: Path, old: str, new: str, name: str = "net/core/dev.c", line: int = 1) -> Path:
    path.write_text(
        f"Subject: x\n\n--- a/{name}\n+++ b/{name}\n@@ -{line},3 +{line},3 @@\n one\n-{old}\n+{new}\n three\n"
    )
    return path


def test_series_is_that_of_the_newest_version_not_newer(tmp_path: Path) -> None:
    for version in ("6.1", "6.12", "6.9"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "0001-x.patch").touch()
    chosen = {v: patches.series_for(v, tmp_path)[0].parent.name for v in ((5, 4), (6, 1), (6, 10), (6, 12), (7, 0))}
    assert chosen == {(5, 4): "6.1", (6, 1): "6.1", (6, 10): "6.9", (6, 12): "6.12", (7, 0): "6.12"}


@pytest.mark.parametrize("version", [(6, 1), (6, 12)])
def test_our_patches_are_named_and_signed(version: tuple[int, int]) -> None:
    series = patches.series_for(version)
    assert [path.name[:5] for path in series] == [f"{n:04}-" for n in range(1, len(series) + 1)]
    for path in series:
        text = path.read_text()
        assert path.name[5:].startswith("um-")
        assert "\nSigned-off-by: testbed developers <testbed@localhost>\n" in text
        assert "\nTested: " in text
        assert patches.touched_files(path)


@pytest.mark.parametrize("version", [(6, 1), (6, 12)])
def test_a_series_says_which_release_it_was_made_on(version: tuple[int, int]) -> None:
    last = patches.series_for(version)[0].read_text().splitlines()[-1]
    name = ".".join(map(str, version))
    assert re.fullmatch(rf"base-release: Linux {re.escape(name)}\.\d+ \(Debian linux-source-{re.escape(name)}\)", last)


def test_patch_applies_to_copies_only(kernel_tree: Path, tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    stage.mkdir()
    done = patches.apply([_patch(tmp_path / "p.patch", "two", "2")], lambda name: kernel_tree / name, stage)
    assert done == {"net/core/dev.c": stage / "net/core/dev.c"}
    assert (stage / "net/core/dev.c").read_text() == "one\n2\nthree\n"
    assert (kernel_tree / "net/core/dev.c").read_text() == "one\ntwo\nthree\n"


def test_patch_that_does_not_apply_names_patch_file_and_hunk(kernel_tree: Path, tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    stage.mkdir()
    good, bad = _patch(tmp_path / "good.patch", "two", "2"), _patch(tmp_path / "bad.patch", "zwei", "II")
    with pytest.raises(BuildError) as caught:
        patches.apply([good, bad], lambda name: kernel_tree / name, stage)
    assert caught.value.message == "patch bad.patch does not apply:\n  net/core/dev.c: hunk #1 fails at line 1"


def test_patch_to_a_missing_file_names_it(kernel_tree: Path, tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    stage.mkdir()
    bad = _patch(tmp_path / "bad.patch", "two", "2", name="net/none.c")
    with pytest.raises(BuildError, match=r"^patch bad\.patch does not apply:\n  net/none\.c: no such file in the tree"):
        patches.apply([bad], lambda name: path if (path := kernel_tree / name).exists() else None, stage)


def test_what_is_no_patch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.patch").write_text("hello\n")
    with pytest.raises(ConfigError, match=r"x\.patch is not a patch in unified format"):
        patches.touched_files(tmp_path / "x.patch")
