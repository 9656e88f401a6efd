# SPDX-License-Identifier: MIT
"""``testbed cloudlab``: experiments on real machines: what to ask for, whether nodes are fit, runs there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import options
from testbed.cli.earlier import Earlier, tell_missing
from testbed.cli.make.library import agent_folder, set_up
from testbed.cli.output import line, note, print_json
from testbed.cli.publish import Publish
from testbed.cli.run import split
from testbed.cli.scenario_words import chosen
from testbed.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from testbed.backends.cloudlab.backend import Experiment
    from testbed.backends.cloudlab.nodes import Nodes
    from testbed.backends.cloudlab.problems import NodeError
    from testbed.harness.records import RunRecord

app = typer.Typer(
    help="Run suites on the nodes of a CloudLab experiment.",
    no_args_is_help=True,
    epilog="Example: testbed cloudlab profile lan:n=4",
)

Manifest = Annotated[
    Path, typer.Option("--manifest", "-m", help="The experiment's manifest (RSpec version 3).", metavar="FILE")
]
Identity = Annotated[
    list[Path] | None,
    typer.Option("--identity", "-i", help="Private key; repeatable; default: those of ssh.", metavar="FILE"),
]
KnownHosts = Annotated[
    Path | None,
    typer.Option("--known-hosts", help="File that vouches for the nodes; default: ~/.ssh/known_hosts.", metavar="FILE"),
]
User = Annotated[str | None, typer.Option("--user", "-l", help="Log in as this user; default: the manifest's first.")]
Patience = Annotated[float, typer.Option(min=1, help="Seconds that a node may take to let us in, or to answer.")]


@app.command("profile", epilog="Example: testbed cloudlab profile lan:n=4 --hardware xl170 > lan4.xml")
def profile(
    scenario: Annotated[
        str | None,
        typer.Argument(help="A scenario: lan:n=4.", metavar="SCENARIO", autocompletion=options.complete_scenario),
    ] = None,
    *,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="A parameter of the scenario; repeatable.", metavar="K=V")
    ] = None,
    topo: options.Topo = None,
    hardware: Annotated[str, typer.Option(help="Node type.", metavar="TYPE")] = "c6525-25g",
    image: Annotated[str | None, typer.Option(help="URN of the disk image; default: Ubuntu 22.04.")] = None,
) -> None:
    """Render the RSpec of the experiment that a scenario needs."""
    from testbed.backends.cloudlab import rspec
    from testbed.backends.cloudlab.nodetypes import NODE_TYPES

    if (scenario is None) == (topo is None):
        raise ConfigError("wanted: a scenario, or --topo FILE.py:CLASS", hint="testbed cloudlab profile lan:n=4")
    topology = chosen(scenario or "", param or (), topo)
    links, nics = rspec.most_links(topology), NODE_TYPES.get(hardware)
    if nics is not None and links > nics:
        note(f"warning: a node has {links} links here, and {hardware} has {nics} NIC{'s' if nics > 1 else ''} for them")
    line(rspec.request(topology, hardware=hardware, image=image or rspec.IMAGE).rstrip())


@app.command("check", epilog="Example: testbed cloudlab check --manifest manifest.xml")
def check(
    *,
    manifest: Manifest,
    identity: Identity = None,
    known_hosts: KnownHosts = None,
    user: User = None,
    patience: Patience = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as data.")] = False,
) -> None:
    """Look at every node: ssh, kernel, DPDK, huge pages, NICs, free space. Changes nothing there."""
    nodes = _nodes(_experiment(manifest, identity, known_hosts, user, patience))
    bad = _look(nodes, as_json=as_json)
    raise typer.Exit(int(ExitCode.CANNOT if bad else ExitCode.OK))


@app.command("run", epilog="Example: testbed cloudlab run --manifest manifest.xml --libos catnip tcp-ping-pong")
def run(
    what: options.SuiteArguments = None,
    *,
    manifest: Manifest,
    identity: Identity = None,
    known_hosts: KnownHosts = None,
    user: User = None,
    patience: Patience = 30.0,
    libos: options.Libos = "linux",
    topo: options.Topo = None,
    seed: options.Seed = 1,
    run_dir: options.RunDir = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Run only what an earlier run lacks, and keep what it finished.", metavar="RUN"),
    ] = None,
    take_over: Annotated[bool, typer.Option("--take-over", help="End what other runs have there.")] = False,
    clean_after: Annotated[bool, typer.Option("--clean", help="Remove the nodes' stores at the end, too.")] = False,
    summary: options.Summary = None,
    badges: options.Badges = None,
) -> None:
    """Check the nodes, send them what they lack, run suites there and fetch the Records."""
    from testbed.harness.plan import resolve, run_suites

    names, pytest_words = split(what or ())
    network_file = options.network_file(topo)
    if resume is not None and (names or topo is not None):
        raise ConfigError("--resume runs what the earlier run lacks, and takes no suites", hint="leave one out")
    earlier = Earlier(resume) if resume is not None else None
    if earlier is not None:
        names, seed, libos, network_file = earlier.missing, earlier.run.seed, earlier.run.libos, earlier.topo
        pytest_words = earlier.pytest_words(pytest_words)
        if not names:
            line(f"nothing is missing in {earlier.folder}")
            raise typer.Exit(int(ExitCode.OK))
        note(f"{len(earlier.kept)} finished cases are kept, {len(names)} are run")
    paths = resolve(names)
    publish = Publish.checked(summary, badges)
    set_up("cloudlab", libos, paths)
    # What an interrupted run of ours left there is in the way of its own resumption.
    experiment = _experiment(
        manifest, identity, known_hosts, user, patience, take_over=take_over or earlier is not None
    )
    nodes = _nodes(experiment)
    if earlier is not None:
        earlier.check_same(nodes.agent)
    bad = _look(nodes, only_bad=True)
    if len(bad) == len(nodes.manifest.machines):
        raise typer.Exit(int(ExitCode.CANNOT))
    if bad:
        note(f"cases that need {' or '.join(bad)} will be errors; --resume runs them later")

    def told(record: "RunRecord", folder: Path) -> None:
        publish(record, folder)
        tell_missing(record, folder, manifest)

    with _environment(experiment):
        code = run_suites(
            names,
            seed=seed,
            backend="cloudlab",
            libos=libos,
            topo=network_file,
            run_dir=run_dir,
            pytest_args=pytest_words,
            around=publish.around(),
            ended=told if earlier is None else earlier.merged(told),
        )
    if earlier is not None and earlier.exit_code is not None:
        code = earlier.exit_code
    if clean_after:
        _clean(nodes)
    raise typer.Exit(int(code))


@app.command("clean", epilog="Example: testbed cloudlab clean --manifest manifest.xml")
def clean(
    *,
    manifest: Manifest,
    identity: Identity = None,
    known_hosts: KnownHosts = None,
    user: User = None,
    patience: Patience = 30.0,
) -> None:
    """End what testbed runs on the nodes, and remove all that it has left there."""
    nodes = _nodes(_experiment(manifest, identity, known_hosts, user, patience))
    raise typer.Exit(int(_clean(nodes)))


def _experiment(
    manifest: Path,
    identity: list[Path] | None,
    known_hosts: Path | None,
    user: str | None,
    patience: float,
    *,
    take_over: bool = False,
) -> "Experiment":
    from testbed.backends.cloudlab.backend import Experiment
    from testbed.backends.cloudlab.ssh import Access

    absent = [str(path) for path in identity or () if not path.is_file()]
    if absent:
        raise ConfigError(f"no key {', '.join(absent)}", hint="--identity is the file of a private key")
    known = known_hosts or Path.home() / ".ssh" / "known_hosts"
    if not known.is_file():
        hint = "ssh to each node once and compare its key; only nodes that are known there are entered"
        raise ConfigError(f"there is no file {known} that vouches for the nodes", hint=hint)
    access = Access(known_hosts=known.absolute(), identities=tuple(identity or ()), patience_s=patience)
    return Experiment(manifest=manifest.absolute(), access=access, user=user, take_over=take_over)


@contextmanager
def _environment(experiment: "Experiment") -> Iterator[None]:
    """Tell the backend of the experiment, as a user would."""
    given = experiment.to_environment()
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _nodes(experiment: "Experiment") -> "Nodes":
    from testbed.backends.artifacts import find_agent

    if "TESTBED_AGENT" not in os.environ:
        agent_folder()
    agent = find_agent(None)
    return experiment.nodes(agent / "agent" if agent.is_dir() else agent)


def _look(nodes: "Nodes", *, as_json: bool = False, only_bad: bool = False) -> list[str]:
    """Look at all nodes, and say what was found: all, or what is in the way of a run; gives those that are not fit."""
    from testbed.backends.cloudlab.problems import NodeError

    found = nodes.look()
    marks = {"ok": "ok  ", "note": "note", "bad": "BAD "}
    rows, bad = [], []
    for name, one in found.items():
        if isinstance(one, NodeError):
            findings = [("bad", one.verdict, one.detail)]
        else:
            findings = [(str(level), what, text) for level, what, text in one.findings()]
        rows += [{"node": name, "level": level, "what": what, "text": text} for level, what, text in findings]
        if any(level == "bad" for level, _, _ in findings):
            bad.append(name)
        for level, what, text in findings if not as_json else ():
            if only_bad and level != "bad":
                continue
            line(f"{marks[level]} {name:<8} {what}: {text}")
        if isinstance(one, NodeError) and one.hint and not as_json:
            note(f"hint: {one.hint}")
    if as_json:
        print_json(rows)
    elif not bad:
        kernels = sorted({one.release for one in found.values() if not isinstance(one, NodeError)})
        line(f"{len(found)} nodes are fit: {', '.join(found)}; kernel {', '.join(kernels)}")
    return bad


def _clean(nodes: "Nodes") -> ExitCode:
    failed: dict[str, NodeError | None] = nodes.clean()
    for error in failed.values():
        if error is not None:
            note(f"error: {error.message}", style="red")
    line(f"clean: {', '.join(name for name, error in failed.items() if error is None) or 'no node'}")
    return ExitCode.CANNOT if any(failed.values()) else ExitCode.OK
