# SPDX-License-Identifier: MIT
"""``testbed workload``: one side of a native workload on a LibOS, by hand, on this machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.progress import waiting


def workload(
    words: Annotated[
        list[str],
        typer.Argument(help="The workload and its options: tcp-echo --server 127.0.0.1:7000", metavar="NAME..."),
    ],
    *,
    libos: Annotated[str, typer.Option(help="The LibOS, or the path of a library with the queue API.")] = "catnap",
    config: Annotated[
        Path | None, typer.Option(help="Its configuration file; default: one without an interface.", metavar="FILE")
    ] = None,
) -> None:
    """Run one side of a workload on a LibOS, over loopback, pipes or an interface of this machine.

    It prints `ready` when the other side may start, and one line of JSON at its end. `testbed workload help` lists the
    workloads and their options.
    """
    from testbed.libos.library import Library, find_library, host_program
    from testbed.paths import cache_dir

    with waiting("testbed-libos: compiling"):
        program = host_program()
    if words[0] == "help":
        os.execv(program, [str(program), "--library", "none", "workload", "--help"])  # noqa: S606  # takes our place
    if Path(libos).is_file():
        library = Library(name=Path(libos).stem.removeprefix("lib"), file=Path(libos).absolute(), abilities=frozenset())
    else:
        with waiting(f"{libos}: compiling"):
            library = find_library(libos)
    if config is None:
        config = cache_dir() / "workload" / f"{library.name}.yaml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(library.render(LOOPBACK))
    env = {**os.environ, "LIBOS": library.name, "CONFIG_PATH": str(config.absolute()), **library.env}
    argv = [str(program), "--library", str(library.file), "workload", *words]
    os.execve(program, argv, env)  # noqa: S606  # it takes our place: signals, streams and the exit code are its own


LOOPBACK = {
    "node": "host",
    "flavor": "",
    "seed": 1,
    "spin_us": None,
    "eal_init": None,
    "interface": None,
    "address": "127.0.0.1",
    "prefix_bits": 8,
    "gateway": None,
    "mac": None,
    "mtu": None,
}
"""What a configuration's template gets for this machine's loopback."""
