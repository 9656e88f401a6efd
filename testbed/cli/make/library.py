# SPDX-License-Identifier: MIT
"""``testbed make library`` and ``make testbin``: build what a test run needs."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import former
from testbed.cli.build import linux
from testbed.cli.output import line, note
from testbed.cli.progress import waiting
from testbed.errors import CapabilityError


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


def set_up(backend: str, libos: str, paths: Sequence[str] = ()) -> None:
    """Build what the cases of a run need and is not there: the kernel (virtual time only), the agent, LibOSes.

    Args:
        backend: Where networks are brought up.
        libos: What is under test.
        paths: The suites, files and node ids of the run; their text says whether they run LibOSes.
    """
    from testbed.libos.flavor import is_artifact

    if backend == "timetravel":
        from testbed.backends.host import check_host

        check_host()  # before minutes of building
    if backend == "timetravel" and not _is_kernel(libos) and "TESTBED_LINUX" not in os.environ:
        linux()
    if "TESTBED_AGENT" not in os.environ:
        agent_folder()
    if not is_artifact(libos) and (libos != "linux" or any(map(_takes_flavor, paths))):
        libraries(libos)


def libraries(libos: str) -> None:
    """Build the LibOSes that a run is for, and the program that they live in; what cannot be built here is told."""
    from testbed.harness.flavors import chosen
    from testbed.libos.flavor import flavor
    from testbed.libos.library import HOST, host_program

    found = {one.name: one for one in (*([flavor(libos)] if libos != "linux" else ()), *chosen(libos))}
    with waiting(f"{HOST.name}: compiling", former.build_s(HOST.name)):
        host_program()
    for one in found.values():
        try:
            with waiting(f"{one.name}: compiling", former.build_s(one.name)):
                built = one.build()
        except CapabilityError as error:
            note(f"{one.name}: its cases will be skipped: {error.message}")
        else:
            if built.instead:
                note(f"{one.name}: {built.instead}")


def _is_kernel(libos: str) -> bool:
    """Say whether a word of ``--libos`` names a kernel other than testbed's own."""
    from testbed.libos.flavor import flavor, is_artifact

    if libos == "linux":
        return False
    declared = None if is_artifact(libos) else flavor(libos).foreign
    return is_artifact(libos) or (declared is not None and declared.abi == "kernel")


def _takes_flavor(path: str) -> bool:
    """Say whether tests of a suite, a file or a node id run LibOSes: they take the argument ``flavor``."""
    where = Path(path.partition("::")[0])
    files = where.rglob("*.py") if where.is_dir() else [where]
    return any(re.search(r"\bflavor\b", file.read_text(encoding="utf-8")) for file in files)


def agent_folder() -> Path:
    """Build the agent where it is missing; its artifact's folder."""
    from testbed.agent.build import ensure_agent

    with waiting("agent: compiling", former.build_s("agent")):
        found = ensure_agent()
    if found.instead:
        note(f"agent: {found.instead}")
    return found.path


def testbin_folders() -> list[Path]:
    """Build the suites' programs where they are missing; the folders of their artifacts."""
    from testbed.harness.programs import ensure_testbin

    with waiting("suites' programs: compiling", former.build_s("testbin")):
        return list(ensure_testbin().values())
