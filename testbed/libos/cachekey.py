# SPDX-License-Identifier: MIT
"""The name under which a CI keeps what is built: it changes when anything that determines an artifact does."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from testbed.errors import CapabilityError
from testbed.libos.artifacts import key_of, sha256_file
from testbed.libos.flavor import LINUX, flavor, flavors
from testbed.libos.foreign_build import digest as foreign_digest
from testbed.libos.library import HOST
from testbed.libos.linux import config, patches, toolchain
from testbed.libos.linux.builder import VERSION
from testbed.libos.linux.source import describe_tarball, find_source
from testbed.libos.linux.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from testbed.libos.flavor import Flavor
    from testbed.libos.pdpix import Crate

KEY_CHARS = 32


def cache_key(
    names: Sequence[str] = (),
    *,
    agent: Mapping[str, Any],
    source: Path | None = None,
    fragments: Sequence[str | Path] = (),
    patched: Sequence[Path] = (),
) -> str:
    """Name all that runs of some flavors need: kernel, agent, the program that LibOSes live in, the flavors themselves.

    Nothing is built or unpacked. Two machines with the same sources and compilers get the same key.

    Args:
        names: The flavors; none = all.
        agent: What determines the agent (``testbed.agent.build.inputs``).
        source: The kernel's, as of ``build linux``.
        fragments: Of its configuration.
        patched: Patches of the user's.

    Returns:
        ``NAMES-KEY``: the flavors with ``+`` between, or ``all``; 32 hex digits of a SHA-256.

    Raises:
        ConfigError: There is no such flavor, source or fragment.
        CapabilityError: A compiler or the kernel's source is missing.
    """
    chosen = [flavor(name) for name in names] or list(flavors().values())
    inputs = {
        "linux": _kernel(source, fragments, patched),
        "agent": dict(agent),
        "host": HOST.inputs(),
        **{one.name: _inputs(one) for one in chosen if one.name != LINUX.name},
    }
    return f"{'+'.join(one.name for one in chosen) if names else 'all'}-{key_of('cache', inputs)[:KEY_CHARS]}"


def _kernel(source: Path | None, fragments: Sequence[str | Path], patched: Iterable[Path]) -> dict[str, Any]:
    """Give more than determines a kernel (the patches of all series), but nothing that needs its source unpacked."""
    tools = toolchain.find()
    found = find_source(source)
    if found.is_tarball:
        digest = describe_tarball(found.path).sha256
    else:
        tree = WorkTree(found)
        with tree.locked():
            digest = tree.prepare()
    ours = sorted(path for folder in (config.FOLDER, patches.FOLDER) for path in folder.rglob("*") if path.is_file())
    users = [*map(config.find_fragment, fragments), *patched]
    return {
        "builder": VERSION,
        "source": digest,
        "ours": [[path.name, sha256_file(path)] for path in ours],
        "users": [sha256_file(path) for path in users],
        "compiler": [tools.compiler, tools.linker],
    }


def _inputs(one: Flavor) -> dict[str, Any]:
    if one.crate is not None:
        return _crate(one.crate)
    if one.foreign is None:
        return {}
    declared = dataclasses.asdict(one.foreign) | {"file": ""}  # where the checkout lies changes nothing
    return {"declared": declared, "source": foreign_digest(one.foreign)}


def _crate(crate: Crate) -> dict[str, Any]:
    try:
        return crate.inputs()
    except CapabilityError as error:  # its cases will be skipped, and there is nothing of it to keep
        return {"lacks": error.message}
