# SPDX-License-Identifier: MIT
"""Artifacts of the Rust workspace: what they are made of, and that the same sources give the same bytes."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from testbed.errors import BuildError, CapabilityError, InternalError
from testbed.libos.artifacts import ArtifactStore
from testbed.libos.cargo import TARGET
from testbed.libos.catnap import CATNAP
from testbed.libos.flavor import flavors
from testbed.libos.library import find_library
from testbed.libos.pdpix import Crate, digest, libos, members
from testbed.paths import package_dir

if TYPE_CHECKING:
    from pathlib import Path

SMALL = libos("small", "one function")


def _crate(workspace: Path, name: str, dependencies: str = "", *, source: str = "") -> None:
    folder = workspace / name
    (folder / "src").mkdir(parents=True)
    kind = '["cdylib"]' if name == "small" else '["rlib"]'
    text = f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n[lib]\ncrate-type = {kind}\n'
    (folder / "Cargo.toml").write_text(f"{text}[dependencies]\n{dependencies}")
    (folder / "src" / "lib.rs").write_text(source)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Make a workspace of three crates: small, which depends on helper, and other."""
    root = tmp_path / "workspace"
    source = '#[no_mangle]\npub extern "C" fn demi_close(qd: i32) -> i32 {\n    helper::check(qd)\n}\n'
    _crate(root, "small", 'helper = { path = "../helper" }\n', source=source)
    # The panic's message has the path of its source.
    _crate(root, "helper", source='pub fn check(qd: i32) -> i32 {\n    assert!(qd > 0, "bad {qd}");\n    9\n}\n')
    _crate(root, "other")
    text = '[workspace]\nresolver = "2"\nmembers = ["small", "helper", "other"]\n[profile.release]\ncodegen-units = 1\n'
    (root / "Cargo.toml").write_text(f"{text}strip = true\n")
    subprocess.run(["cargo", "generate-lockfile", "--offline", "-q"], cwd=root, check=True)
    return root


def test_the_key_covers_what_a_crate_is_made_of_and_no_more(workspace: Path) -> None:
    assert [path.name for path in members(workspace, "small")] == ["helper", "small"]
    first = digest(workspace, "small")
    (workspace / "other" / "src" / "lib.rs").write_text("// another\n")
    (workspace / "small" / "tests").mkdir()
    (workspace / "small" / "tests" / "one.rs").write_text("// a test\n")
    assert digest(workspace, "small") == first
    seen = {first}
    for place in ("small/src/lib.rs", "helper/src/lib.rs", "helper/Cargo.toml", "Cargo.toml", "Cargo.lock"):
        with (workspace / place).open("a") as stream:
            stream.write("\n")
        seen.add(digest(workspace, "small"))
    assert len(seen) == 6


def test_a_crate_that_is_not_there_is_named_with_those_that_are(workspace: Path) -> None:
    with pytest.raises(InternalError, match=r"has no crate 'smal'; it has helper, other, small"):
        members(workspace, "smal")


def test_the_same_sources_give_the_same_bytes_wherever_they_lie(workspace: Path, tmp_path: Path) -> None:
    found = []
    for name in ("one", "another-and-longer"):
        copy = tmp_path / name / "sources"
        shutil.copytree(workspace, copy)
        found.append(SMALL.build(ArtifactStore(tmp_path / name / "store"), copy))
    assert found[0].key == found[1].key
    assert found[0].digest("libsmall.so") == found[1].digest("libsmall.so")
    names = {path.name for path in found[0].path.iterdir()}
    assert names == {"libsmall.so", "build.log", "manifest.json"}
    again = SMALL.build(ArtifactStore(tmp_path / "one" / "store"), tmp_path / "one" / "sources")
    assert not again.fresh
    assert again.path == found[0].path


def test_a_library_is_optimized_at_link_time_also_where_rust_may_use_it(workspace: Path, tmp_path: Path) -> None:
    with (workspace / "Cargo.toml").open("a") as stream:
        stream.write('lto = "fat"\n')
    manifest = workspace / "small" / "Cargo.toml"
    manifest.write_text(manifest.read_text().replace('["cdylib"]', '["cdylib", "rlib"]'))
    made = SMALL.build(ArtifactStore(tmp_path / "store"), workspace).path / "libsmall.so"
    # What the linker alone makes of the same: cargo builds both kinds at once, and leaves the optimization out.
    argv = ["cargo", "build", "--release", "-q", "--offline", "-p", "small", "--target", TARGET]
    subprocess.run([*argv, "--target-dir", tmp_path / "both"], cwd=workspace, check=True)
    plain = tmp_path / "both" / TARGET / "release" / "libsmall.so"
    assert made.stat().st_size < plain.stat().st_size


def test_what_the_compiler_refuses_is_told_and_its_log_kept(workspace: Path, tmp_path: Path) -> None:
    (workspace / "helper" / "src" / "lib.rs").write_text("pub fn check() -> i32 { true }\n")
    with pytest.raises(BuildError, match=r"(?s)^small does not build .*mismatched types.*log: ") as caught:
        SMALL.build(ArtifactStore(tmp_path / "store"), workspace)
    log = tmp_path / "store" / "failed"
    assert [str(path) for path in log.iterdir()] == [caught.value.message.rpartition("log: ")[2]]


def test_what_the_machine_lacks_is_said_without_building(workspace: Path, tmp_path: Path) -> None:
    def needs() -> dict[str, str]:
        raise CapabilityError("no DPDK", hint="apt-get install libdpdk-dev")

    crate = Crate("small", "libsmall.so", "one function", needs=needs)
    assert str(crate.lacks(workspace=workspace)) == "no DPDK\nhint: apt-get install libdpdk-dev"
    with pytest.raises(CapabilityError, match=r"^no DPDK"):
        crate.build(ArtifactStore(tmp_path / "store"), workspace)
    assert SMALL.lacks(workspace=workspace) is None


def test_a_tool_of_another_version_is_another_artifact(workspace: Path, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")

    def crate(version: str) -> Crate:
        return Crate("small", "libsmall.so", "", needs=lambda: {"dpdk": version})

    keys = {crate(version).build(store, workspace).key for version in ("22.11", "24.11")}
    assert len(keys) == 2


def test_catnap_is_a_flavor_of_this_workspace() -> None:
    assert flavors()["catnap"].crate is CATNAP
    assert {"tcp", "udp", "threads"} <= flavors()["catnap"].capabilities
    folders = [path.name for path in members(package_dir() / "libos", "catnap")]
    assert folders == ["abi", "catnap", "queue"]


OURS = [one.name for one in flavors().values() if one.crate is not None]


@pytest.mark.parametrize("name", OURS)
def test_a_library_exports_the_queue_api_and_nothing_else(name: str) -> None:
    crate = flavors()[name].crate
    assert crate is not None
    lack = crate.lacks()
    if lack is not None:
        pytest.skip(str(lack))
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", find_library(name).file], capture_output=True, text=True, check=True
    )
    exported = [entry.split()[2] for entry in listed.stdout.splitlines()]
    demi = [word for word in exported if word.startswith("demi_")]
    assert len(demi) == 20
    assert set(exported) - set(demi) == {"testbed_drive"}


@pytest.mark.build
@pytest.mark.parametrize("name", OURS)
def test_two_builds_in_two_folders_are_the_same(tmp_path: Path, name: str) -> None:
    crate = flavors()[name].crate
    assert crate is not None
    lack = crate.lacks()
    if lack is not None:
        pytest.skip(str(lack))
    found = []
    for place in ("one", "another-and-longer"):
        copy = tmp_path / place / "libos"
        shutil.copytree(package_dir() / "libos", copy, ignore=shutil.ignore_patterns("target", "linux", "__pycache__"))
        found.append(crate.build(ArtifactStore(tmp_path / place / "store"), copy))
    assert found[0].digest(crate.output) == found[1].digest(crate.output)
    body = found[0].file(crate.output).read_bytes()
    for path in (str(tmp_path), str(package_dir())):
        assert path.encode() not in body
