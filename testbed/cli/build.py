# SPDX-License-Identifier: MIT
"""``testbed build``: build a library OS and say where it lies."""

import os
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import former
from testbed.cli.output import line, note
from testbed.cli.progress import progress


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
) -> None:
    """Build library OSes into the artifact store; what is there already is not built again. Prints the folders."""
    from testbed.libos.flavor import flavor

    for name in flavors or ():
        flavor(name)  # the only one so far is linux
    line(str(linux(source=source, fragments=config or (), patches=patch or (), jobs=jobs)))


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
    if found.fresh:
        note(f"linux: built in {found.manifest['build_s']:.0f} s")
    return found.path
