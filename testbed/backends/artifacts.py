# SPDX-License-Identifier: MIT
"""Finding the programs that backends start: what the user gave, what the environment says, or what is in the cache."""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import ConfigError
from testbed.libos.artifacts import MANIFEST, hold, sha256_file


@dataclass(frozen=True)
class Artifacts:
    """What a guest is made of: the kernel, and the agent (its program, or the folder that is the guest's root)."""

    kernel: Path
    agent: Path


def find_artifacts(kernel: Path | None, agent: Path | None) -> Artifacts:
    """Find the programs: as given, else by ``TESTBED_LINUX`` and ``TESTBED_AGENT``, else in the cache (or built)."""
    return Artifacts(find_kernel(kernel), find_agent(agent))


def find_kernel(given: Path | None) -> Path:
    """Find the kernel's program, as :func:`find_artifacts` does."""
    found = given or _from_environment("TESTBED_LINUX") or _built_kernel()
    program = found / "linux" if found.is_dir() else found
    if not os.access(program, os.X_OK) or program.is_dir():
        raise ConfigError(f"the kernel {program} is no program", hint="build one: testbed build linux")
    hold(program)
    return program.absolute()


def find_agent(given: Path | None) -> Path:
    """Find the agent: as given, else as ``TESTBED_AGENT`` says, else in the cache (built if missing).

    Returns:
        Its program, or the folder with it that is a guest's root.
    """
    found = given or _from_environment("TESTBED_AGENT") or _built_agent()
    program = found / "agent" if found.is_dir() else found
    if not os.access(program, os.X_OK):
        hint = "leave out --agent and TESTBED_AGENT to use the built one"
        raise ConfigError(f"the agent {program} is no program", hint=hint)
    hold(program)
    return found.absolute()


def release_of(kernel: Path) -> str | None:
    """Give the release of a kernel's program by the name of its artifact; None where it is of none."""
    found = re.fullmatch(r"linux-(.+)-[0-9a-f]+", kernel.parent.name)
    return found[1] if found and (kernel.parent / MANIFEST).is_file() else None


def identify(*programs: Path) -> dict[str, str]:
    """Say which programs a network runs on.

    Args:
        programs: The kernel's and the agent's program, or the agent's folder.

    Returns:
        Name of each one's artifact (of a program that is of none, its path) to the SHA-256 of its bytes.
    """
    files = (path / "agent" if path.is_dir() else path for path in programs)
    return dict(_identity(file, file.stat().st_mtime_ns) for file in files)


@functools.lru_cache(maxsize=16)
def _identity(program: Path, mtime_ns: int) -> tuple[str, str]:  # noqa: ARG001 (part of the key)
    for folder in program.parents[:2]:
        if (folder / MANIFEST).is_file():
            outputs = json.loads((folder / MANIFEST).read_text())["outputs"]
            return folder.name, str(outputs[str(program.relative_to(folder))]["sha256"])
    return str(program), sha256_file(program)


@functools.cache
def _built_kernel() -> Path:
    from testbed.libos.linux import ensure_linux  # noqa: PLC0415  # the builder is not needed where a kernel is given

    return ensure_linux().path


@functools.cache
def _built_agent() -> Path:
    from testbed.agent.build import ensure_agent  # noqa: PLC0415  # the builder is not needed where an agent is given

    folder = ensure_agent().path
    rootfs = folder / "rootfs"
    return rootfs if rootfs.is_dir() else folder


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None
