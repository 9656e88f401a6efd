# SPDX-License-Identifier: MIT
"""Finding the programs that backends start: what the user gave, what the environment says, or what is in the cache."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import ConfigError


@dataclass(frozen=True)
class Artifacts:
    """What a guest is made of: the kernel, and the agent (its program, or the folder that is the guest's root)."""

    kernel: Path
    agent: Path


def find_artifacts(kernel: Path | None, agent: Path | None) -> Artifacts:
    """Find the programs: as given, else by ``TESTBED_LINUX`` and ``TESTBED_AGENT``, else in the cache (or built)."""
    found = kernel or _from_environment("TESTBED_LINUX") or _built_kernel()
    program = found / "linux" if found.is_dir() else found
    if not os.access(program, os.X_OK):
        raise ConfigError(f"the kernel {program} is no program", hint="build one: testbed build linux")
    return Artifacts(program.absolute(), find_agent(agent))


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
    return found.absolute()


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
