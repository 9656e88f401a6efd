# SPDX-License-Identifier: MIT
"""The store: once per input, whole or not at all, also when several runs ask at once."""

from __future__ import annotations

import fcntl
import multiprocessing
from pathlib import Path

import pytest

from testbed.errors import BuildError, ConfigError, InternalError
from testbed.libos.artifacts import LOG, MANIFEST, ArtifactStore, key_of


def _write(folder: Path) -> None:
    (folder / "program").write_bytes(b"bits")
    (folder / LOG).write_text("built\n")


def _refuse(_: Path) -> None:
    raise AssertionError("built again")


def test_key_depends_on_every_input_and_not_on_order() -> None:
    assert key_of("a", {"x": 1, "y": 2}) == key_of("a", {"y": 2, "x": 1})
    assert len({key_of("a", {"x": 1}), key_of("b", {"x": 1}), key_of("a", {"x": 2}), key_of("a", {"x": "1"})}) == 4


def test_key_of_an_object_is_our_own_error() -> None:
    with pytest.raises(InternalError, match=r"^inputs of artifact 'a' are not plain data: .*Path"):
        key_of("a", {"x": Path("/")})


def test_second_request_takes_it_from_the_store(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    first = store.get_or_build("thing-1.0", {"n": 1}, _write)
    again = store.get_or_build("thing-1.0", {"n": 1}, _refuse)
    assert (first.fresh, again.fresh) == (True, False)
    assert again.file("program").read_bytes() == b"bits"
    assert first.path.name == f"thing-1.0-{key_of('thing-1.0', {'n': 1})[:12]}"
    assert [artifact.path for artifact in store.all()] == [first.path]


def test_other_inputs_make_another_artifact(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    paths = {store.get_or_build("thing", {"n": n}, _write).path for n in range(3)}
    assert len(paths) == 3


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "manifest"])
def test_damaged_artifact_is_built_again(tmp_path: Path, damage: str) -> None:
    store = ArtifactStore(tmp_path)
    folder = store.get_or_build("thing", {}, _write).path
    match damage:
        case "flip":
            (folder / "program").write_bytes(b"bots")
        case "truncate":
            (folder / "program").write_bytes(b"")
        case "remove":
            (folder / "program").unlink()
        case _:
            (folder / MANIFEST).write_text("{")
    assert store.get("thing", {}) is None
    rebuilt = store.get_or_build("thing", {}, _write)
    assert rebuilt.fresh
    assert rebuilt.file("program").read_bytes() == b"bits"


def test_failed_build_publishes_nothing_and_keeps_its_log(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "program").write_bytes(b"half")
        (folder / LOG).write_text("words of the compiler\n")
        raise BuildError("no")

    with pytest.raises(BuildError, match=r"^no$"):
        store.get_or_build("thing", {}, fail)
    assert store.get("thing", {}) is None
    assert store.failed_log("thing", {}).read_text() == "words of the compiler\n"
    assert not list(tmp_path.glob(".thing*"))


def test_build_that_leaves_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"^the build of thing left no file"):
        ArtifactStore(tmp_path).get_or_build("thing", {}, lambda folder: (folder / LOG).touch())


def test_leftovers_of_a_killed_build_go(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    key = key_of("thing", {})[:12]
    leftover = tmp_path / f".thing-{key}.dead"
    leftover.mkdir(parents=True)
    older = tmp_path / ".other-0123456789ab.dead"
    older.mkdir()
    busy = tmp_path / ".busy-0123456789ab.alive"
    busy.mkdir()
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks/other-0123456789ab").touch()
    with (tmp_path / ".locks/busy-0123456789ab").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store.get_or_build("thing", {}, _write)
    assert not leftover.exists()
    assert not older.exists()
    assert busy.exists()


def test_a_name_with_a_slash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^artifact name '\.\./x' is not of"):
        ArtifactStore(tmp_path).get("../x", {})


def test_unknown_output_names_those_there_are(tmp_path: Path) -> None:
    artifact = ArtifactStore(tmp_path).get_or_build("thing", {}, _write)
    with pytest.raises(InternalError, match=r"has no file 'linux'; it has build\.log, program$"):
        artifact.file("linux")


def _contend(root: Path, gate: multiprocessing.synchronize.Barrier) -> None:
    def build(folder: Path) -> None:
        with (root / "builds").open("a") as stream:
            stream.write("once\n")
        _write(folder)

    gate.wait(timeout=30)
    ArtifactStore(root).get_or_build("thing", {}, build)


def test_two_runs_at_once_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(4)
    runs = [context.Process(target=_contend, args=(tmp_path, gate)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0, 0, 0, 0]
    assert (tmp_path / "builds").read_text() == "once\n"
