# SPDX-License-Identifier: MIT
"""A flavor of a ``testbed.toml``, made ready: built, and what it needs of the machine looked for."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.errors import CapabilityError, ConfigError
from testbed.libos.foreign_build import artifact_name, build, copy_tree, digest
from testbed.libos.library import Library, host_program
from testbed.libos.linux import build_linux
from testbed.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from testbed.libos.artifacts import Artifact
    from testbed.libos.foreign import Foreign

_PROGRAM = "program:"


@dataclass(frozen=True, kw_only=True)
class Wrapper:
    """A command around POSIX programs.

    Args:
        words: What stands before a program's own words.
        env: Variables of every process.
        files: Path in the node to the file on the host.
    """

    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)


def make(declared: Foreign) -> Artifact:
    """Build it, whatever its ABI is.

    Raises:
        CapabilityError: The machine lacks what it requires.
        BuildError: It does not build, or does not fit the ABI.
    """
    check_machine(declared)
    if declared.abi == "kernel":
        return build_linux(source=_tree(declared), fragments=_fragments(declared))
    return build(declared, host_program())


@functools.cache  # a case must not pay for digesting the sources again
def library(declared: Foreign) -> Library:
    """Give the library of a ``demi`` LibOS, built if it is missing."""
    artifact = make(declared)
    name = declared.artifact.rpartition("/")[2]
    template = {} if declared.config is None else {"template": declared.path(declared.config)}
    return Library(
        name=declared.name,
        file=artifact.file(name),
        abilities=frozenset(declared.abilities),
        env=declared.env,
        artifact=(artifact.path.name, artifact.digest(name)),
        **template,
    )


@functools.cache
def wrapper(declared: Foreign) -> Wrapper:
    """Give the command of a ``preload`` LibOS, its artifact built if it is missing."""
    artifact = make(declared)
    files = {}
    text = declared.command
    if declared.artifact:
        name = declared.artifact.rpartition("/")[2]
        inside = f"/libos/{declared.name}/{name}"
        files[inside] = artifact.file(name)
        text = text.replace("{artifact}", inside)
    return Wrapper(words=tuple(text.split()), env=declared.env, files=files)


@functools.cache
def kernel(declared: Foreign) -> Path:
    """Give the folder of the artifact of a ``kernel`` LibOS, built if it is missing."""
    return make(declared).path


def check_machine(declared: Foreign) -> None:
    """Look for what ``requires`` names; capabilities of the kernel are looked for in the guest.

    Raises:
        CapabilityError: It is not there.
    """
    for name in declared.requires:
        if name.startswith(_PROGRAM) and shutil.which(name.removeprefix(_PROGRAM)) is None:
            raise CapabilityError(f"{declared.name} requires {name}, which PATH does not have")
        if name == "dpdk" and not _has_package("libdpdk"):
            raise CapabilityError(f"{declared.name} requires dpdk", hint="apt install libdpdk-dev")


def kernel_capabilities(declared: Foreign, valid: Iterable[str]) -> tuple[str, ...]:
    """Give those of ``requires`` that are capabilities of a kernel.

    Raises:
        ConfigError: A name is neither that nor something of the machine.
    """
    known = frozenset(valid)
    found = [name for name in declared.requires if name != "dpdk" and not name.startswith(_PROGRAM)]
    for name in found:
        if name not in known:
            choice = ", ".join(["dpdk", "program:NAME", *sorted(known)])
            raise ConfigError(f"{declared.file}: [libos.{declared.name}]: requires {name!r}; valid: {choice}")
    return tuple(found)


def _has_package(name: str) -> bool:
    tool = shutil.which("pkg-config")
    return tool is not None and subprocess.run([tool, "--exists", name], check=False).returncode == 0


def _fragments(declared: Foreign) -> tuple[Path, ...]:
    return () if declared.config is None else (declared.path(declared.config),)


def _tree(declared: Foreign) -> Path:
    """Give the kernel's tree: the user's own folder (which is never changed), or a copy of the git revision."""
    if not declared.is_git:
        return declared.path(declared.source)
    folder = cache_dir() / "git" / f"{artifact_name(declared)}-{digest(declared)[:12]}"
    if not folder.is_dir():
        temporary = folder.with_name(f".{folder.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        copy_tree(declared, temporary)
        temporary.rename(folder)
    return folder
