# SPDX-License-Identifier: MIT
"""The compiled programs of the suites: built once on the host, put into a node where a test runs them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import BuildError, CapabilityError, ConfigError, near_misses
from testbed.harness.identity import SUITES
from testbed.libos.artifacts import LOG, ArtifactStore, sha256_file
from testbed.paths import package_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.backends.node import Node

ARTIFACT = "testbin"
GUEST_FOLDER = "/testbin"
# -g would put the host's paths into the programs, and -march=native the host's CPU.
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-ffile-prefix-map=.=.")
LAST_LINES = 40
Stamp = tuple[tuple[str, int], ...]


def sources(root: Path | None = None) -> dict[str, Path]:
    """Find the programs: name (``tcp-client``, ``_`` of the file as ``-``) to source, in the order of names.

    Args:
        root: A folder of suites; default: those below the current folder and of the source tree.

    Raises:
        ConfigError: Two suites have a program of one name.
    """
    roots = [root] if root is not None else [Path.cwd() / SUITES, package_dir().parent / SUITES]
    found: dict[str, Path] = {}
    for folder in dict.fromkeys(path.resolve() for path in roots):
        for file in sorted(folder.glob("*/programs/*.c")):
            name = file.stem.replace("_", "-")
            if name in found and _suite_of(found[name]) != _suite_of(file):
                raise ConfigError(f"two suites have a program {name!r}: {found[name]} and {file}")
            found.setdefault(name, file)
    return dict(sorted(found.items()))


def ensure_testbin(root: Path | None = None) -> dict[str, Path]:
    """Compile the programs of all suites, where it was not done yet.

    Args:
        root: As of ``sources``.

    Returns:
        Name of a suite's folder to the folder of its artifact: one executable for each program.

    Raises:
        BuildError: The compiler refused one; its words are in the message.
        CapabilityError: There is no C compiler.
    """
    files = sources(root)
    if not files:
        raise ConfigError("no suite has programs (suites/*/programs/*.c)")
    return {suite: _ensure(suite, files) for suite in sorted({_suite_of(file) for file in files.values()})}


def _ensure(suite: str, every: Mapping[str, Path]) -> Path:
    """Compile one suite's programs: one that does not compile is no other suite's trouble."""
    files = {name: file for name, file in every.items() if _suite_of(file) == suite}
    compiler = _compiler()
    inputs = {
        "compiler": _version(compiler),
        "flags": list(FLAGS),
        "sources": {name: sha256_file(file) for name, file in files.items()},
        "headers": _headers({file.parent for file in every.values()}),
    }
    name = f"{ARTIFACT}-{suite.replace('_', '-')}"
    return ArtifactStore().get_or_build(name, inputs, lambda folder: _compile(compiler, files, folder)).path


def _suite_of(file: Path) -> str:
    return file.parent.parent.name


def install(node: Node, name: str) -> str:
    """Put a program into a node, at the same path on every machine.

    Args:
        node: Where it is wanted.
        name: Of its source, with ``-`` or ``_``: ``tcp-client``.

    Returns:
        Its path in the node, ``/testbin/tcp-client``.

    Raises:
        ConfigError: No suite has such a program.
    """
    plain = name.replace("_", "-")
    valid = sources()
    if plain not in valid:
        raise ConfigError(f"no suite has a program {name!r}; {near_misses(plain, valid)}")
    path = f"{GUEST_FOLDER}/{plain}"
    node.write(path, _program(plain, _suite_of(valid[plain]), _stamp(valid)), mode=0o755)
    return path


@functools.lru_cache(maxsize=64)
def _program(name: str, suite: str, stamp: Stamp) -> bytes:  # noqa: ARG001 (part of the key)
    """Give a program's bytes; a case must not pay for asking the compiler who it is."""
    return (_ensure(suite, sources()) / name).read_bytes()


def _stamp(files: dict[str, Path]) -> Stamp:
    """Give what changes when a source does."""
    return tuple((str(file), file.stat().st_mtime_ns) for file in files.values())


def _compile(compiler: str, files: dict[str, Path], folder: Path) -> None:
    log = folder / LOG
    with log.open("w") as stream:
        for name, file in files.items():
            argv = [compiler, *FLAGS, "-o", str(folder / name), file.name]
            stream.write(f"+ {' '.join(argv)}\n")
            done = subprocess.run(
                argv, cwd=file.parent, capture_output=True, text=True, check=False, env=_environment()
            )
            stream.write(done.stdout + done.stderr)
            if done.returncode:
                words = "\n".join((done.stdout + done.stderr).splitlines()[:LAST_LINES])
                raise BuildError(f"{compiler} refused {file} (exit code {done.returncode}):\n{words}")
            (folder / name).chmod(0o755)
    log.unlink()  # it names a temporary folder; only a failure's is worth keeping


def _headers(folders: set[Path]) -> dict[str, str]:
    """Digest all headers: a program may include those of another suite (``../../common/programs/bytes.h``)."""
    found = [file for folder in folders for file in folder.glob("*.h")]
    return {f"{file.parent.parent.name}/{file.name}": sha256_file(file) for file in sorted(found)}


def _compiler() -> str:
    wished = os.environ.get("CC", "gcc")
    found = shutil.which(wished)
    if found is None:
        raise CapabilityError(f"no C compiler: {wished!r} is not on PATH", hint="apt install gcc libc6-dev")
    return found


def _version(compiler: str) -> str:
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True, env=_environment())
    return done.stdout.splitlines()[0]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}
