# SPDX-License-Identifier: MIT
"""The key of a CI's cache: the same from the same sources, another when anything changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from testbed.errors import CapabilityError, ConfigError
from testbed.libos import cachekey
from testbed.libos.linux import patches, toolchain
from testbed.libos.linux.source import Source
from testbed.libos.linux.toolchain import Toolchain
from testbed.libos.pdpix import Crate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def cache_key(names: Sequence[str] = (), **more: Any) -> str:
    """Give the key for an agent that is always the same."""
    return cachekey.cache_key(names, agent={"sources": "one"}, **more)


@pytest.fixture(autouse=True)
def tarball(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give what is the kernel's source for these tests; it is never looked into."""
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "linux-source-6.12.tar.xz"
    file.write_bytes(b"source")
    monkeypatch.setattr("testbed.libos.cachekey.find_source", lambda given: Source(given or file, is_tarball=True))
    return file


def test_the_key_can_be_that_of_a_cache() -> None:
    assert re.fullmatch(r"all-[0-9a-f]{32}", cache_key())
    assert re.fullmatch(r"catnap\+linux-[0-9a-f]{32}", cache_key(["catnap", "linux"]))
    assert cache_key(["catnap"]) == cache_key(["catnap"])


def test_another_source_patch_fragment_or_compiler_gives_another_key(
    tarball: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch, fragment = tmp_path / "one.patch", tmp_path / "my.config"
    patch.write_text("--- a/x\n")
    fragment.write_text("CONFIG_X=y\n")
    keys = [cache_key(["linux"]), cache_key(["linux"], patched=[patch]), cache_key(["linux"], fragments=[fragment])]
    series = tmp_path / "patches"
    series.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(patches, "FOLDER", series)
        keys.append(cache_key(["linux"]))
    with monkeypatch.context() as patched:
        patched.setattr(toolchain, "find", lambda: Toolchain("gcc 99", "ld 99", None))
        keys.append(cache_key(["linux"]))
    keys.append(cachekey.cache_key(["linux"], agent={"sources": "other"}))
    tarball.write_bytes(b"another source")
    keys.append(cache_key(["linux"]))
    assert len(set(keys)) == len(keys), keys


def test_a_libos_that_cannot_be_built_here_is_no_reason_to_keep_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cache_key(["catnip"])

    def inputs(crate: Crate) -> dict[str, Any]:
        if crate.name == "catnip":
            raise CapabilityError("no DPDK")
        return {}

    monkeypatch.setattr(Crate, "inputs", inputs)
    assert cache_key(["catnip"]) != whole
    assert re.fullmatch(r"catnip-[0-9a-f]{32}", cache_key(["catnip"]))


def test_a_libos_of_a_user_counts_with_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "mine"
    source.mkdir()
    (source / "a.c").write_text("int a;\n")
    (tmp_path / "testbed.toml").write_text(
        '[libos.mine]\nabi = "demi"\nsource = "mine"\nbuild = "make"\nartifact = "libmine.so"\n'
    )
    monkeypatch.chdir(tmp_path)
    before = cache_key(["mine"])
    (source / "a.c").write_text("int b;\n")
    assert cache_key(["mine"]) != before


def test_an_unknown_flavor_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown flavor 'catnipp'"):
        cache_key(["catnipp"])
