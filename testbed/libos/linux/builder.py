# SPDX-License-Identifier: MIT
"""Building the guest's kernel: source, patches, fragments and compiler in, one artifact out."""

from __future__ import annotations

import functools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import BuildError, CapabilityError, ConfigError
from testbed.libos.artifacts import LOG, Artifact, ArtifactStore, sha256_file
from testbed.libos.linux import config, make, patches, precompiled, toolchain
from testbed.libos.linux.progress import BuildProgress, Progress, ignore
from testbed.libos.linux.source import Release, Source, describe_tarball, find_source, read_release
from testbed.libos.linux.worktree import WorkTree

if TYPE_CHECKING:
    from collections.abc import Sequence

KERNEL = "linux"
CONFIG = "config"
_TOOLS = ("compiler", "linker")  # of an artifact's inputs: what the machine brings
VERSION = 1  # of this recipe; a change of it that changes the output makes it higher


@dataclass(frozen=True)
class Request:
    """Everything that determines a kernel beside the tools that build it, found and read.

    Args:
        source: Tarball or folder.
        release: The kernel's version.
        digest: SHA-256 of the source.
        options: The merged fragments.
        fragments: Their paths, ours first.
        series: Our patches, then the user's.
    """

    source: Source
    release: Release
    digest: str
    options: dict[str, config.Option]
    fragments: list[Path]
    series: list[Path]

    @property
    def name(self) -> str:
        """Give the artifact's name, ``linux-6.12.117``."""
        safe = "".join(char if char.isalnum() or char in "._+-" else "-" for char in self.release.text.lower())
        return f"linux-{safe}"

    @property
    def material(self) -> dict[str, Any]:
        """Give what the artifact's key is made from beside the tools."""
        return {
            "builder": VERSION,
            "source": {"release": self.release.text, "sha256": self.digest},
            "options": config.text_of(self.options).splitlines(),
            "patches": [{"name": path.name, "sha256": sha256_file(path)} for path in self.series],
            "headers": precompiled.digest() if self.source.is_tarball else "",
        }


def build_linux(
    source: str | Path | None = None,
    fragments: Sequence[str | Path] = (),
    patches: Sequence[str | Path] = (),
    *,
    jobs: int | None = None,
    progress: Progress = ignore,
    store: ArtifactStore | None = None,
) -> Artifact:
    """Build the ``linux`` flavor, or take it from the store.

    Where a tool of a build is missing, one that is in the store and is of the same sources is as good.

    Args:
        source: A kernel tree (never modified) or a tarball; default the newest ``linux-source`` of the distribution.
        fragments: Config fragments on top of ours: files, or names of ours such as ``debug``.
        patches: Applied after our series, in this order.
        jobs: Compilers at a time; default one per usable CPU.
        progress: Called with every change.
        store: Where artifacts are kept; default the user's.

    Returns:
        The artifact, with the outputs ``linux``, ``config`` and ``build.log``.

    Raises:
        ConfigError: No such source, patch or fragment, or fragments that contradict each other.
        CapabilityError: A program or package is missing on this machine.
        BuildError: A patch does not apply, an option was dropped, or the compiler failed.
    """
    store = store if store is not None else ArtifactStore()
    tools = _tools()
    found = find_source(source)
    if isinstance(tools, CapabilityError) and found.is_tarball and describe_tarball(found.path).release is None:
        raise tools  # never unpacked, so never built, and unpacking takes tools
    tree = WorkTree(found)
    request = _request(found, tree, fragments, patches, progress)
    if isinstance(tools, CapabilityError):
        if (stored := store.stored(request.name, request.material, tools, _TOOLS)) is not None:
            return stored
        raise tools
    inputs = {**request.material, "compiler": tools.compiler, "linker": tools.linker}
    limit = jobs if jobs is not None else len(os.sched_getaffinity(0))
    if limit < 1:
        raise ConfigError(f"jobs must be at least 1, not {limit}")
    recipe = functools.partial(
        _build,
        request,
        tools,
        tree,
        jobs=limit,
        progress=progress,
        failed=store.failed_log(request.name, inputs),
    )
    return store.get_or_build(request.name, inputs, recipe)


def stored_linux(lack: CapabilityError) -> Artifact | None:
    """Give the default ``linux`` artifact of the user's store where it can be had without the tools of a build.

    Args:
        lack: Which tools are missing.
    """
    store = ArtifactStore()
    try:
        found = find_source()
    except CapabilityError:
        return None
    if not store.root.is_dir() or describe_tarball(found.path).release is None:
        return None
    request = _request(found, WorkTree(found), (), (), ignore)
    return store.stored(request.name, request.material, lack, _TOOLS)


def ensure_linux(progress: Progress = ignore) -> Artifact:
    """Give the default ``linux`` artifact; build it where it is missing."""
    return build_linux(progress=progress)


def _tools() -> toolchain.Toolchain | CapabilityError:
    """Give the tools of a build, or say which are missing."""
    try:
        return toolchain.find()
    except CapabilityError as lack:
        return lack


def _request(
    source: Source,
    tree: WorkTree,
    fragments: Sequence[str | Path],
    patches: Sequence[str | Path],
    progress: Progress,
) -> Request:
    release, digest = _identify(source, tree, progress)
    files = [*config.default_fragments(), *(config.find_fragment(name) for name in fragments)]
    options = config.merge(option for path in files for option in config.read_fragment(path, release.version))
    return Request(source, release, digest, options, files, _series(release, patches))


def _identify(source: Source, tree: WorkTree, progress: Progress) -> tuple[Release, str]:
    """Read the source's version and digest; unpack a tarball that was never unpacked."""
    if source.is_tarball:
        known = describe_tarball(source.path)
        if known.release is not None:
            return known.release, known.sha256
    progress(BuildProgress("source", detail=str(source.path)))
    with tree.locked():
        digest = tree.prepare()
        return read_release(tree.tree), digest


def _series(release: Release, given: Sequence[str | Path]) -> list[Path]:
    users = [Path(path).expanduser().absolute() for path in given]
    for path in users:
        if not path.is_file():
            raise ConfigError(f"no patch {path}: no such file")
    return [*patches.series_for(release.version), *users]


def _build(
    request: Request,
    tools: toolchain.Toolchain,
    tree: WorkTree,
    target: Path,
    *,
    jobs: int,
    progress: Progress,
    failed: Path,
) -> None:
    with tree.locked():
        progress(BuildProgress("source", detail=str(request.source.path)))
        if tree.prepare() != request.digest:
            raise BuildError(f"{request.source.path} was changed while its build began", hint="build again")
        progress(BuildProgress("patch", total=len(request.series)))
        tree.apply(request.series)
        run = make.Make(
            tree.tree,
            tree.build,
            tools,
            log=target / LOG,
            log_if_failed=failed,
            precompile=request.source.is_tarball,
        )
        progress(BuildProgress("configure"))
        run.configure(config.text_of(request.options))
        settled = (tree.build / ".config").read_text()
        config.check_survivors(request.options, settled, failed)
        fresh = not (tree.build / "vmlinux.o").exists()
        steps = run.compile(jobs, (tree.objects() or make.TYPICAL_STEPS) if fresh else None, progress)
        if fresh:
            tree.remember_objects(steps)
        progress(BuildProgress("publish"))
        shutil.copy(tree.build / "linux", target / KERNEL)
        shutil.copyfile(tree.build / ".config", target / CONFIG)
