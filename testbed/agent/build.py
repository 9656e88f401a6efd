# SPDX-License-Identifier: MIT
"""Build the agent: one static program, in a folder that is also a guest's first root."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from testbed import paths
from testbed.errors import BuildError, CapabilityError
from testbed.libos.artifacts import LOG, Artifact, ArtifactStore

NAME = "agent"
ROOTFS = "rootfs"
BINARY = f"{ROOTFS}/agent"
TARGET = "x86_64-unknown-linux-gnu"
FOLDERS = ("proc", "sys", "dev", "lower", "upper", "root")
"""Empty folders beside the binary that the agent mounts on (``doc/internals.md``, section 5)."""
_FLAGS = ("-C", "target-feature=+crt-static", "-C", "relocation-model=static")
_SHOWN_LINES = 30


def ensure_agent(store: ArtifactStore | None = None) -> Artifact:
    """Give the artifact of the agent, built if its sources or the compiler have changed.

    Args:
        store: Where artifacts are; default the user's store.

    Returns:
        An artifact with ``rootfs/agent`` and the empty folders of a guest's first root.

    Raises:
        CapabilityError: There is no cargo.
        BuildError: The compiler refused; its words and the path of the whole log are in the message.
    """
    store = store or ArtifactStore()
    inputs = {"sources": _digest(_source_dir()), "compiler": _compiler(), "flags": list(_FLAGS), "target": TARGET}
    return store.get_or_build(NAME, inputs, functools.partial(_build, log_kept=store.failed_log(NAME, inputs)))


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


def _compiler() -> str:
    """Ask rustc what it is; the answer is part of the artifact's key."""
    missing = [tool for tool in ("cargo", "rustc") if shutil.which(tool) is None]
    if missing:
        raise CapabilityError(
            f"building the agent needs {' and '.join(missing)}, which PATH does not have",
            hint="install Rust 1.77 or later: apt install cargo (where new enough), or https://rustup.rs",
        )
    try:
        done = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise CapabilityError(f"rustc does not work: {error}", hint="try: rustc -vV") from error
    return done.stdout.strip()


def _build(folder: Path, log_kept: Path) -> None:
    """Fill an artifact's folder."""
    source = _source_dir()
    target = folder / "target"
    log = folder / LOG
    # Absolute paths of this machine must not be in the binary: the same sources give the same bytes everywhere.
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    places = {cargo_home: "/cargo", source: "/agent", folder: "/build"}
    remaps = [f"--remap-path-prefix={path}={name}" for path, name in places.items()]
    env = {
        **os.environ,
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join([*_FLAGS, *remaps]),
        "CARGO_TARGET_DIR": os.fspath(target),
        "CARGO_TERM_COLOR": "never",
    }
    argv = [
        "cargo",
        "build",
        "--release",
        "--locked",
        "--target",
        TARGET,
        "--manifest-path",
        os.fspath(source / "Cargo.toml"),
    ]
    with log.open("w") as stream:
        stream.write(" ".join(argv) + "\n")
        stream.flush()
        done = subprocess.run(
            argv, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, check=False
        )
    if done.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
        raise BuildError(f"the agent does not build (cargo exit code {done.returncode}):\n{last}\nlog: {log_kept}")
    rootfs = folder / ROOTFS
    rootfs.mkdir()
    for name in FOLDERS:
        (rootfs / name).mkdir()
    shutil.copy2(target / TARGET / "release" / "agent", folder / BINARY)
    (folder / BINARY).chmod(0o755)
    shutil.rmtree(target)
