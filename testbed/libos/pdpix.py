# SPDX-License-Identifier: MIT
"""The LibOSes of the workspace beside this file: one shared library each, with the C ABI of ``include/demi.h``."""

from __future__ import annotations

import functools
import hashlib
import shutil
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed import paths
from testbed.errors import CapabilityError, InternalError
from testbed.libos import cargo
from testbed.libos.artifacts import Artifact, ArtifactStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# None: any x86-64 can run it, and what a shared library exports by default is `#[no_mangle]`, nothing else.
_FLAGS: tuple[str, ...] = ()
_SOURCES = (".rs", ".c", ".h", ".toml")
_NOT_BUILT = frozenset({"target", "tests", "examples", "benches", "fuzz"})


def _nothing() -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Crate:
    """Something of the workspace that can be built: a LibOS, or a program.

    Args:
        name: Of its package, its folder and its artifact.
        output: The file that building it leaves: ``libcatnap.so``.
        description: One line.
        abilities: What it can do: ``tcp``, ``udp``, ``pipe``, ``threads`` (an engine in each of several threads),
            ``user-stack`` (it takes an interface from the node's kernel), ``loopback`` (it knows no other addresses).
        needs: Looks at what the build takes from the machine beside Rust: name to version, part of the artifact's key.
            Raises CapabilityError where it is not there.
    """

    name: str
    output: str
    description: str
    abilities: frozenset[str] = frozenset()
    needs: Callable[[], Mapping[str, str]] = field(default=_nothing, repr=False)

    def build(self, store: ArtifactStore | None = None, workspace: Path | None = None) -> Artifact:
        """Give its artifact, built if its sources, those it depends on, or a tool has changed.

        Where there is no Rust, one that is in the store and is of the same sources is as good.

        Args:
            store: Where artifacts are; default the user's store.
            workspace: Its sources; default those beside this file.

        Raises:
            CapabilityError: This machine lacks what the build needs.
            BuildError: The compiler refused; its words and the path of the whole log are in the message.
        """
        store = store or ArtifactStore()
        workspace = workspace or paths.package_dir() / "libos"
        try:
            made_of = self.inputs(workspace)
        except CapabilityError as lack:
            if (found := self._stored(store, workspace, lack)) is not None:
                return found
            raise
        fill = functools.partial(self._fill, workspace=workspace, log_kept=store.failed_log(self.name, made_of))
        return store.get_or_build(self.name, made_of, fill)

    def inputs(self, workspace: Path | None = None) -> dict[str, Any]:
        """Give what determines its artifact.

        Raises:
            CapabilityError: This machine lacks what the build needs.
        """
        workspace = workspace or paths.package_dir() / "libos"
        return {**self._material(workspace), "compiler": self._compiler(workspace)}

    def lacks(self, store: ArtifactStore | None = None, workspace: Path | None = None) -> CapabilityError | None:
        """Say why it can be neither built here nor taken from the store; None where it can."""
        workspace = workspace or paths.package_dir() / "libos"
        try:
            self.needs()
            self._compiler(workspace)
        except CapabilityError as error:
            return None if self._stored(store or ArtifactStore(), workspace, error) is not None else error
        return None

    def _material(self, workspace: Path) -> dict[str, Any]:
        """Give what determines its artifact beside the compiler."""
        return {
            "sources": digest(workspace, self.name),
            "needs": dict(self.needs()),
            "flags": list(_FLAGS),
            "target": cargo.TARGET,
        }

    def _compiler(self, workspace: Path) -> str:
        return cargo.compiler(self.name, cargo.oldest(*members(workspace, self.name)))

    def _stored(self, store: ArtifactStore, workspace: Path, lack: CapabilityError) -> Artifact | None:
        try:
            return store.stored(self.name, self._material(workspace), lack, {"compiler"})
        except CapabilityError:  # what is missing is no compiler: it takes that to run, too
            return None

    def _fill(self, folder: Path, *, workspace: Path, log_kept: Path) -> None:
        built = cargo.build(
            folder,
            workspace,
            what=self.name,
            name="libos",
            log_kept=log_kept,
            flags=_FLAGS,
            words=("--package", self.name),
            shared=self.output.endswith(".so"),
        )
        shutil.copy2(built / self.output, folder / self.output)
        (folder / self.output).chmod(0o755)
        shutil.rmtree(folder / "target")


def libos(name: str, description: str, *abilities: str, needs: Callable[[], Mapping[str, str]] = _nothing) -> Crate:
    """Declare a LibOS: the crate of its name, which gives a shared library."""
    return Crate(name, f"lib{name}.so", description, frozenset(abilities), needs)


def digest(workspace: Path, name: str) -> str:
    """Digest names and bytes of what a crate is made of: its sources, those it depends on, the workspace's own files.

    Returns:
        64 hex digits.
    """
    files = [workspace / "Cargo.toml", workspace / "Cargo.lock"]
    for folder in members(workspace, name):
        files += sorted(path for path in folder.rglob("*") if path.suffix in _SOURCES and _counts(path, folder))
    total = hashlib.sha256()
    for path in files:
        body = path.read_bytes()
        total.update(f"{path.relative_to(workspace)}\0{len(body)}\0".encode())
        total.update(body)
    return total.hexdigest()


def _counts(path: Path, folder: Path) -> bool:
    return path.is_file() and path.relative_to(folder).parts[0] not in _NOT_BUILT


def members(workspace: Path, name: str) -> list[Path]:
    """Find the folders of a crate and of those of the workspace that it depends on, in the order of their names.

    Raises:
        InternalError: The workspace has no such crate.
    """
    root = tomllib.loads((workspace / "Cargo.toml").read_text())
    folders = {_package(workspace / member): workspace / member for member in root["workspace"]["members"]}
    if name not in folders:
        raise InternalError(f"{workspace} has no crate {name!r}; it has {', '.join(sorted(folders))}")
    found: set[str] = set()
    wanted = {name}
    while wanted:
        one = wanted.pop()
        found.add(one)
        wanted |= {other for other in _dependencies(folders[one]) if other in folders} - found
    return [folders[one] for one in sorted(found)]


def _manifest(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "Cargo.toml").read_text())


def _package(folder: Path) -> str:
    return str(_manifest(folder)["package"]["name"])


def _dependencies(folder: Path) -> set[str]:
    """Name the packages that a crate is built with, its build script's too."""
    manifest = _manifest(folder)
    tables = [manifest.get(key, {}) for key in ("dependencies", "build-dependencies")]
    return {
        str(entry.get("package", key)) if isinstance(entry, dict) else str(key)
        for table in tables
        for key, entry in table.items()
    }
