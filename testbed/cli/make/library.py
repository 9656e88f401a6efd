# SPDX-License-Identifier: MIT
"""``testbed make library`` and ``make testbin``: build what a test run needs."""

import os
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import former
from testbed.cli.build import linux
from testbed.cli.output import line
from testbed.cli.progress import waiting


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
    line(str(agent_folder()))
    for folder in testbin_folders():
        line(str(folder))


def set_up(backend: str, libos: str) -> None:
    """Build what any network needs and is not there: the kernel (virtual time only) and the agent."""
    if backend == "timetravel" and libos == "linux" and "TESTBED_LINUX" not in os.environ:
        linux()
    if "TESTBED_AGENT" not in os.environ:
        agent_folder()


def agent_folder() -> Path:
    """Build the agent where it is missing; its artifact's folder."""
    from testbed.agent.build import ensure_agent

    with waiting("agent: compiling", former.build_s("agent")):
        return ensure_agent().path


def testbin_folders() -> list[Path]:
    """Build the suites' programs where they are missing; the folders of their artifacts."""
    from testbed.harness.programs import ensure_testbin

    with waiting("suites' programs: compiling", former.build_s("testbin")):
        return list(ensure_testbin().values())
