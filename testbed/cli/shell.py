# SPDX-License-Identifier: MIT
"""``testbed shell``: work by hand in a network whose time stands still while you think."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import options
from testbed.cli.make.library import set_up
from testbed.cli.output import note
from testbed.cli.scenario_words import chosen
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from testbed.backends.network import Network


def shell(
    scenario: Annotated[
        str,
        typer.Argument(
            help="The network: a scenario, with parameters after a colon: lan:n=10,delay_ms=5.",
            autocompletion=options.complete_scenario,
        ),
    ] = "lan",
    *,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="A parameter of the scenario; repeatable.", metavar="K=V"),
    ] = None,
    topo: options.Topo = None,
    script: Annotated[
        Path | None, typer.Option("--script", help="Lines to carry out; ends at the first that fails.", metavar="FILE")
    ] = None,
    backend: options.Backend = "timetravel",
    switch: options.Switch = None,
    libos: options.Libos = "linux",
    seed: options.Seed = 1,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0, help="Limit of a command in the foreground, s of the network's time.")
    ] = 86_400,
    capture: Annotated[bool, typer.Option(help="Capture every link end.")] = True,
    run_dir: options.RunDir = None,
) -> None:
    """Work by hand in a fresh network; lines come from you, from a script, or from stdin when that is no terminal."""
    from testbed.backends.registry import switch_kind
    from testbed.cli.recorded import How, recorded, tell
    from testbed.harness.runfolder import RunFolder

    how = How(
        topology=chosen(scenario, param or (), topo),
        seed=seed,
        backend=backend,
        switch=switch_kind(switch, backend),
        libos=libos,
        capture=capture,
        run_dir=run_dir,
        kind="shell",
        options=["--script", str(script)] if script is not None else [],
        show=False,
        tell=tell,
    )
    if script is not None and not script.is_file():
        raise ConfigError(f"no script {str(script)!r}", hint="one line per command, as you would type it")
    RunFolder.choose(run_dir)  # refuses a folder that is taken before anything is built
    set_up(backend, libos)
    words = [scenario if topo is None else f"--topo={topo}", *(f"--param={word}" for word in param or ())]
    status, _ = recorded(words, how, lambda network: _converse(network, script, timeout_s))
    raise typer.Exit(status)


def _converse(network: "Network", script: Path | None, timeout_s: float) -> int:
    """Carry out the lines; the exit status of the first that failed, after saying so."""
    from testbed.shell.interact import LeftWithStatus, LineFailed, interact

    try:
        if script is None:
            interact(network, limit_s=timeout_s)
        else:
            with script.open(encoding="utf-8") as file:
                interact(network, script=file, limit_s=timeout_s)
    except LineFailed as failed:
        if not isinstance(failed, LeftWithStatus):
            note(f"error: {failed}", style="red")
        return failed.status
    return 0
