# SPDX-License-Identifier: MIT
"""``testbed exec``: any command in a node of a fresh network, with captures and a Record."""

from typing import Annotated

import typer

from testbed.cli import options


def exec_(
    command: Annotated[list[str], typer.Argument(help="The command and its words, as in a shell.", metavar="CMD...")],
    *,
    scenario: Annotated[
        str, typer.Option("--scenario", "-S", help="The network.", autocompletion=options.complete_scenario)
    ] = "single",
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="A parameter of the scenario; repeatable.", metavar="K=V")
    ] = None,
    node: Annotated[str | None, typer.Option(help="Where to run it; default: the first node.")] = None,
    backend: options.Backend = "timetravel",
    seed: options.Seed = 1,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0, help="Limit in seconds of the network's time.")
    ] = 3600,
    capture: Annotated[bool, typer.Option(help="Capture every link end.")] = True,
    run_dir: options.RunDir = None,
) -> None:
    """Run a command in a node of a fresh network; its output, its exit code, and a Record of it all."""
    raise typer.Exit(0)
