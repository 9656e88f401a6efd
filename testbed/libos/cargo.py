# SPDX-License-Identifier: MIT
"""Build a Rust crate into an artifact's folder: the same bytes from the same sources, wherever they lie."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import BuildError, CapabilityError
from testbed.libos.artifacts import LOG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TARGET = "x86_64-unknown-linux-gnu"
_SHOWN_LINES = 30
_RELEASE = re.compile(r"release: ((\d+)\.(\d+)\S*)")


def oldest(*folders: Path) -> tuple[int, int]:
    """Give the oldest Rust that can build all of these packages: the ``rust-version`` of their manifests.

    Args:
        folders: Where each has its ``Cargo.toml``; one that leaves it to its workspace lies in that.

    Returns:
        ``(1, 77)``; zeros where none of them says.
    """
    return max((_rust_version(folder) for folder in folders), default=(0, 0))


def _rust_version(folder: Path) -> tuple[int, int]:
    package = tomllib.loads((folder / "Cargo.toml").read_text()).get("package", {})
    found = package.get("rust-version", "0.0")
    if isinstance(found, dict):
        roots = (tomllib.loads(path.read_text()) for up in folder.parents if (path := up / "Cargo.toml").is_file())
        found = next(root["workspace"]["package"]["rust-version"] for root in roots if "workspace" in root)
    major, minor = str(found).split(".")[:2]
    return int(major), int(minor)


def compiler(what: str, oldest: tuple[int, int]) -> str:
    """Ask rustc what it is; the answer is part of an artifact's key.

    Args:
        what: What is to be built, for the message.
        oldest: The oldest Rust that can build it; cargo and rustc are released as one.

    Raises:
        CapabilityError: There is no cargo, or it does not work, or it is too old.
    """
    hint = "./testbed.sh installs one on Debian; elsewhere https://rustup.rs"
    missing = [tool for tool in ("cargo", "rustc") if shutil.which(tool) is None]
    if missing:
        raise CapabilityError(
            f"building {what} needs {' and '.join(missing)}, which PATH does not have",
            hint=hint,
        )
    try:
        done = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise CapabilityError(f"rustc does not work: {error}", hint="try: rustc -vV") from error
    release = _RELEASE.search(done.stdout)
    if release is not None and (int(release[2]), int(release[3])) < oldest:
        wanted = ".".join(map(str, oldest))
        raise CapabilityError(f"building {what} needs Rust {wanted} or later; rustc is {release[1]}", hint=hint)
    return done.stdout.strip()


def build(
    folder: Path,
    source: Path,
    *,
    what: str,
    name: str,
    log_kept: Path,
    flags: Sequence[str],
    words: Sequence[str] = (),
    shared: bool = False,
) -> Path:
    """Compile for release.

    Args:
        folder: The artifact's; gets ``build.log`` and, until the caller removes it, ``target``.
        source: Where ``Cargo.toml`` and ``Cargo.lock`` are.
        what: For messages: ``the agent``.
        name: What the source's folder is called in the binary.
        log_kept: Where the log will be when this fails, for the message.
        flags: For rustc.
        words: More words for cargo, such as ``--package``.
        shared: Only the package's library, as a shared one: where its manifest wants it for Rust, too, cargo leaves
            out the optimization at link time, without a word.

    Returns:
        The folder of what was built, in ``target``.

    Raises:
        BuildError: The compiler refused; its last words and the path of the whole log are in the message.
    """
    target = folder / "target"
    log = folder / LOG
    argv = ["cargo", "rustc" if shared else "build", "--release", "--locked", "--target", TARGET, *words]
    argv += ["--lib", "--crate-type", "cdylib"] if shared else []
    argv += ["--manifest-path", os.fspath(source / "Cargo.toml")]
    # Absolute paths of this machine must not be in the binary: the same sources give the same bytes everywhere.
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    remaps = _remaps({cargo_home: "/cargo", source: f"/{name}", folder: "/build"})
    env = {
        **os.environ,
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join([*flags, *remaps]),
        "CARGO_TARGET_DIR": os.fspath(target),
        "CARGO_TERM_COLOR": "never",
    }
    with log.open("w") as stream:
        stream.write(" ".join(argv) + "\n")
        stream.flush()
        done = subprocess.run(
            argv, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, check=False
        )
    if done.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
        raise BuildError(f"{what} does not build (cargo exit code {done.returncode}):\n{last}\nlog: {log_kept}")
    return target / TARGET / "release"


def _remaps(places: Mapping[Path, str]) -> list[str]:
    return [f"--remap-path-prefix={path}={name}" for path, name in places.items()]
