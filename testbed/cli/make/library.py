# SPDX-License-Identifier: MIT
"""``testbed make library`` and ``make testbin``: build what a test run needs."""

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.build import linux
from testbed.cli.output import line
from testbed.cli.progress import progress


def library(
    *,
    source: Annotated[Path | None, typer.Option(help="Kernel tree or tarball.", metavar="DIR|TAR")] = None,
    config: Annotated[list[Path] | None, typer.Option(help="Config fragment; repeatable.")] = None,
    patch: Annotated[list[Path] | None, typer.Option(help="Patch; repeatable.")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Compiler jobs; default: all CPUs.")] = None,
) -> None:
    """Build the kernel as a library OS, as `testbed build linux` does."""
    line(str(linux(source=source, fragments=config or [], patches=patch or [], jobs=jobs)))


def testbin() -> None:
    """Build the agent and the programs that the suites run in nodes. Prints the folders."""
    for path in programs():
        line(str(path))


def programs() -> list[Path]:
    """Build the agent and the suites' programs where they are missing, with progress on stderr."""
    from testbed.agent.build import ensure_agent
    from testbed.harness.programs import ensure_testbin

    with progress("agent") as report:
        report("cargo build", 0, 0)
        agent = ensure_agent()
    with progress("programs") as report:
        report("compile", 0, 0)
        binaries = ensure_testbin()
    return [Path(agent), Path(binaries)]
