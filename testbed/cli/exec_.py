# SPDX-License-Identifier: MIT
"""``testbed exec``: any command in a node of a fresh network, with captures and a Record."""

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import options
from testbed.cli.make.library import set_up
from testbed.cli.names import known
from testbed.errors import ConfigError, DeadlineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.backends.network import Network
    from testbed.backends.process import Completed
    from testbed.scenarios.topology import Topology


def _kernel(name: str) -> str:
    """Refuse what a command cannot run on: programs know nothing of a library with the queue API.

    Raises:
        ConfigError: It is neither a kernel nor there.
    """
    from testbed.cli.lists import flavors
    from testbed.libos.flavor import flavor

    if name != "linux" and not Path(name).exists():
        known("flavor", name, [row["name"] for row in flavors()])
        if flavor(name).is_library:
            raise ConfigError(
                f"{name} is a library, which a command does not use by itself: exec runs commands on a kernel",
                hint=f"testbed workload --libos {name} drives it; testbed run SUITE --libos {name} tests it",
            )
    return name


def exec_(
    command: Annotated[list[str], typer.Argument(help="The command and its words; no shell.", metavar="CMD...")],
    *,
    scenario: Annotated[
        str,
        typer.Option("--scenario", "-S", help="The network.", autocompletion=options.complete_scenario),
    ] = "single",
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="A parameter of the scenario; repeatable.", metavar="K=V"),
    ] = None,
    topo: options.Topo = None,
    node: Annotated[str | None, typer.Option(help="Where to run it; default: h1, else the first node.")] = None,
    backend: options.Backend = "timetravel",
    switch: options.Switch = None,
    libos: Annotated[
        str, typer.Option(help="The kernel: linux, or the folder of an artifact.", callback=_kernel)
    ] = "linux",
    seed: options.Seed = 1,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0, help="Limit, seconds of the network's time.")] = 3600,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", help="What the command reads from stdin; - is ours. Default: nothing."),
    ] = None,
    capture: Annotated[bool, typer.Option(help="Capture every link end.")] = True,
    stall_s: options.Stall = 30,
    wall_limit_s: Annotated[
        float | None, typer.Option("--wall-limit", min=0.1, help="Wall seconds that the network may live.", metavar="S")
    ] = None,
    spin_ms: options.SpinMs = None,
    run_dir: options.RunDir = None,
) -> None:
    """Run a command in a node of a fresh network: its output, its exit code, and a Record of it all."""
    from testbed.backends.registry import switch_kind
    from testbed.cli.recorded import How, recorded, tell
    from testbed.cli.scenario_words import chosen
    from testbed.harness.runfolder import RunFolder

    topology = chosen(scenario, param or (), topo)
    where = known("node", node or _default_node(topology), [entry.name for entry in topology.nodes])
    how = How(
        topology=topology,
        seed=seed,
        backend=backend,
        switch=switch_kind(switch, backend),
        libos=libos,
        capture=capture,
        stall_s=stall_s,
        wall_limit_s=wall_limit_s,
        spin_ms=spin_ms or 0,
        run_dir=run_dir,
        tell=tell,
        options=_chosen(scenario, param or (), topo, node, input_file),
    )
    data = _input(input_file)
    RunFolder.choose(run_dir)  # refuses a folder that is taken before anything is built
    set_up(backend, libos)
    completed, _ = recorded(command, how, lambda network: _drive(network, where, command, data, timeout_s))
    code = completed.returncode
    raise typer.Exit(code if code >= 0 else 128 - code)


def _chosen(
    scenario: str, params: "Sequence[str]", topo: str | None, node: str | None, input_file: Path | None
) -> list[str]:
    """Give the words that chose the network and the node, for whoever does it again."""
    words = ["--topo", topo] if topo is not None else ["--scenario", scenario] if scenario != "single" else []
    words += [word for param in params for word in ("--param", param)]
    words += ["--node", node] if node is not None else []
    return words + (["--input", str(input_file)] if input_file is not None else [])


def _input(file: Path | None) -> bytes:
    """Read what the command gets on stdin.

    Raises:
        ConfigError: The file cannot be read.
    """
    if file is None:
        return b""
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the input {str(file)!r}: {error.strerror}") from error


def _default_node(topology: "Topology") -> str:
    names = [entry.name for entry in topology.nodes]
    return "h1" if "h1" in names else names[0]


def _drive(network: "Network", node: str, command: list[str], data: bytes, timeout_s: float) -> "Completed":
    """Start the command and wait for it in growing steps of virtual time, so that its output shows as it comes.

    Raises:
        ConfigError: The node has no such program.
        DeadlineError: It still ran at the limit, and was killed.
    """
    from testbed.backends.process import ProcessTimeout

    try:
        process = network[node].spawn(command, input=data)
    except (FileNotFoundError, PermissionError) as error:
        what = f"{node} cannot run {command[0]!r}: {os.strerror(error.errno or 0)}"
        raise ConfigError(what, hint="nodes have the programs of this machine; testbed exec -- which NAME") from error
    begin = network.now()
    while True:
        passed = network.now() - begin
        left = timeout_s - passed
        try:
            return process.wait(timeout=min(left, max(1.0, passed / 10)))
        except ProcessTimeout:
            if network.now() - begin >= timeout_s:
                process.kill(signal.SIGKILL)
                process.wait()
                what = f"{shlex.join(command)} still ran after {timeout_s:g} s of the network's time and was killed"
                raise DeadlineError(what, hint="--timeout SECONDS gives it more") from None
