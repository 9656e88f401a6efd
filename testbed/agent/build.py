# SPDX-License-Identifier: MIT
"""Build the agent: one static program, in a folder that is also a guest's first root."""

from __future__ import annotations

import functools
import hashlib
import shutil
from typing import TYPE_CHECKING, Any

from testbed import paths
from testbed.errors import CapabilityError
from testbed.libos import cargo
from testbed.libos.artifacts import Artifact, ArtifactStore

if TYPE_CHECKING:
    from pathlib import Path

NAME = "agent"
ROOTFS = "rootfs"
BINARY = f"{ROOTFS}/agent"
FOLDERS = ("proc", "sys", "dev", "lower", "upper", "root")
"""Empty folders beside the binary that the agent mounts on (``doc/internals.md``, section 5)."""
_FLAGS = ("-C", "target-feature=+crt-static", "-C", "relocation-model=static")


def ensure_agent(store: ArtifactStore | None = None) -> Artifact:
    """Give the artifact of the agent, built if its sources or the compiler have changed.

    Where there is no compiler, one that is in the store and is of the same sources is as good.

    Args:
        store: Where artifacts are; default the user's store.

    Returns:
        An artifact with ``rootfs/agent`` and the empty folders of a guest's first root.

    Raises:
        CapabilityError: There is no cargo.
        BuildError: The compiler refused; its words and the path of the whole log are in the message.
    """
    store = store or ArtifactStore()
    try:
        made_of = inputs()
    except CapabilityError as lack:
        if (found := stored_agent(lack, store)) is not None:
            return found
        raise
    return store.get_or_build(NAME, made_of, functools.partial(_build, log_kept=store.failed_log(NAME, made_of)))


def stored_agent(lack: CapabilityError, store: ArtifactStore | None = None) -> Artifact | None:
    """Give an artifact of the agent's present sources that is in the store, whatever compiler it is of; or None.

    Args:
        lack: Why none can be built here.
        store: Where artifacts are; default the user's store.
    """
    return (store or ArtifactStore()).stored(NAME, _material(), lack, {"compiler"})


def inputs() -> dict[str, Any]:
    """Give what determines the agent's artifact.

    Raises:
        CapabilityError: There is no cargo.
    """
    return {**_material(), "compiler": cargo.compiler("the agent", cargo.oldest(_source_dir()))}


def _material() -> dict[str, Any]:
    """Give what determines the agent's artifact beside the compiler."""
    return {"sources": _digest(_source_dir()), "flags": list(_FLAGS), "target": cargo.TARGET}


def _source_dir() -> Path:
    return paths.package_dir() / "agent"


def _sources(folder: Path) -> list[Path]:
    """List what the binary is made of."""
    return [folder / "Cargo.toml", folder / "Cargo.lock", *sorted((folder / "src").rglob("*.rs"))]


def _digest(folder: Path) -> str:
    """Digest names and bytes of the sources: 64 hex digits."""
    digest = hashlib.sha256()
    for path in _sources(folder):
        body = path.read_bytes()
        digest.update(f"{path.relative_to(folder)}\0{len(body)}\0".encode())
        digest.update(body)
    return digest.hexdigest()


def _build(folder: Path, log_kept: Path) -> None:
    """Fill an artifact's folder."""
    built = cargo.build(folder, _source_dir(), what="the agent", name="agent", log_kept=log_kept, flags=_FLAGS)
    rootfs = folder / ROOTFS
    rootfs.mkdir()
    for name in FOLDERS:
        (rootfs / name).mkdir()
    shutil.copy2(built / "agent", folder / BINARY)
    (folder / BINARY).chmod(0o755)
    shutil.rmtree(folder / "target")
