# SPDX-License-Identifier: MIT
"""``testbed build``: build a library OS and say where it lies."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import former
from testbed.cli.output import line, note
from testbed.cli.progress import progress, waiting
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from testbed.libos.flavor import Flavor


def _complete(incomplete: str) -> list[str]:
    from testbed.cli.lists import flavors

    return [row["name"] for row in flavors() if row["name"].startswith(incomplete)]


def build(
    flavors: Annotated[
        list[str] | None,
        typer.Argument(help="Flavors to build (default: linux).", autocompletion=_complete, show_default=False),
    ] = None,
    *,
    source: Annotated[
        Path | None,
        typer.Option(help="Kernel tree or tarball; default: the distribution's newest in /usr/src.", metavar="DIR|TAR"),
    ] = None,
    config: Annotated[list[Path] | None, typer.Option(help="Config fragment after testbed's own; repeatable.")] = None,
    patch: Annotated[list[Path] | None, typer.Option(help="Patch after testbed's own series; repeatable.")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Compiler jobs; default: all CPUs.")] = None,
    print_key: Annotated[
        bool,
        typer.Option("--print-key", help="Build nothing; print the key for a CI's cache (no name: of all flavors)."),
    ] = False,
) -> None:
    """Build library OSes into the artifact store; what is there already is not built again. Prints the folders."""
    from testbed.libos.flavor import flavor

    chosen = [flavor(name) for name in dict.fromkeys(flavors or ["linux"])]  # an unknown one before any is built
    if (source or config or patch) and all(one.name != "linux" for one in chosen):
        raise ConfigError("--source, --config and --patch are for linux, which is not among the flavors to build")
    if print_key:
        from testbed.agent.build import inputs
        from testbed.libos.cachekey import cache_key

        line(cache_key(flavors or (), agent=inputs(), source=source, fragments=config or (), patched=patch or ()))
        return
    for one in chosen:
        if one.name == "linux":
            line(str(linux(source=source, fragments=config or (), patches=patch or (), jobs=jobs)))
        else:
            line(str(library(one)))


def linux(
    *,
    source: Path | None = None,
    fragments: "list[Path] | tuple[Path, ...]" = (),
    patches: "list[Path] | tuple[Path, ...]" = (),
    jobs: int | None = None,
) -> Path:
    """Build the flavor ``linux``, with progress on stderr.

    Returns:
        The artifact's folder.
    """
    from testbed.libos.linux import BuildProgress, build_linux

    def show(state: BuildProgress) -> None:
        report(state.stage, state.done, state.total or 0)

    with progress("linux", former.build_s("linux")) as report:
        found = build_linux(
            source=source,
            fragments=fragments,
            patches=patches,
            jobs=jobs or os.cpu_count() or 1,
            progress=show,
        )
    if found.instead:
        note(f"linux: {found.instead}")
    if found.fresh:
        note(f"linux: built in {found.manifest['build_s']:.0f} s")
    return found.path


def library(flavor: "Flavor") -> Path:
    """Build a flavor that is a shared library, with a word on stderr when it takes long.

    Returns:
        The artifact's folder.
    """
    with waiting(f"{flavor.name}: compiling"):
        found = flavor.build()
    if found.instead:
        note(f"{flavor.name}: {found.instead}")
    if found.fresh:
        note(f"{flavor.name}: built in {found.manifest['build_s']:.0f} s")
    return found.path
