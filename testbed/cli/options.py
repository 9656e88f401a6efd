# SPDX-License-Identifier: MIT
"""Options that several commands share, each said once."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.names import known
from testbed.cli.output import note


def _complete_suite(incomplete: str) -> list[str]:
    from testbed.harness.plan import suites

    return [name for name in suites() if name.startswith(incomplete)]


def complete_scenario(incomplete: str) -> list[str]:
    """Give the scenarios whose names begin so."""
    from testbed.cli.lists import scenarios

    return [row["name"] for row in scenarios() if row["name"].startswith(incomplete)]


def _complete_backend(incomplete: str) -> list[str]:
    from testbed.backends.registry import backends

    return [name for name in backends() if name.startswith(incomplete)]


def _complete_switch(incomplete: str) -> list[str]:
    from testbed.scenarios.topology import SWITCHES

    return [name for name in SWITCHES if name.startswith(incomplete)]


def _backend(name: str) -> str:
    """Refuse a backend that does not exist before anything is built for it."""
    from testbed.backends.registry import backends

    return known("backend", name, backends())


def _libos(name: str) -> str:
    """Refuse a flavor that does not exist, unless it is the path of an artifact."""
    from testbed.cli.lists import flavors

    return name if Path(name).exists() else known("flavor", name, [row["name"] for row in flavors()])


SuiteNames = Annotated[
    list[str] | None,
    typer.Option("--suite", "-s", help="A TestSuite; repeatable.", autocompletion=_complete_suite),
]
ExampleNames = Annotated[
    list[str] | None,
    typer.Option("--example", "-e", help="An Example; repeatable.", autocompletion=_complete_suite),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-n", min=0, help="Cases at a time; default: the number of CPUs.", show_default=False),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random; each case derives its own.")]
Repeat = Annotated[
    int | None,
    typer.Option(min=1, help="Executions of each case, whose digests must agree; default: 2 in virtual time."),
]
Backend = Annotated[
    str,
    typer.Option(help="Where networks are brought up.", autocompletion=_complete_backend, callback=_backend),
]
Libos = Annotated[
    str,
    typer.Option(
        help="The flavor under test (linux: the kernel and all LibOSes), or the folder of an artifact.", callback=_libos
    ),
]
Topo = Annotated[
    str | None,
    typer.Option(
        "--topo",
        help="The network: a Topo class of Mininet's, words for it after commas; or a topology as JSON.",
        metavar="FILE.py:CLASS",
    ),
]
Switch = Annotated[
    str | None,
    typer.Option(
        "--switch",
        help="What switches are on the backend mininet: bridge, ovs (Open vSwitch), ovs-user (its own datapath).",
        metavar="KIND",
        autocompletion=_complete_switch,
    ),
]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the records of all executions, not only of the first.")]
RunDir = Annotated[
    Path | None,
    typer.Option("--run-dir", help="Folder of the run, new or empty; default: below testbed-runs.", metavar="DIR"),
]
Summary = Annotated[
    Path | None,
    typer.Option("--summary", help="Write a Markdown summary there, for the page of a CI's job.", metavar="FILE"),
]
Badges = Annotated[
    Path | None,
    typer.Option("--badges", help="Write an SVG badge and a shields.io endpoint there.", metavar="DIR"),
]
Stall = Annotated[
    float,
    typer.Option("--stall", min=0.1, help="Wall seconds without progress after which a guest is ended.", metavar="S"),
]
WallLimit = Annotated[
    float, typer.Option("--wall-limit", min=0.1, help="Wall seconds that one network may live.", metavar="S")
]
SpinMs = Annotated[
    int | None,
    typer.Option(
        "--spin-ms",
        min=1,
        help="Host CPU ms without a system call after which a program lets others, and time, go on. Bits may differ.",
        metavar="N",
    ),
]
NoCaptures = Annotated[bool, typer.Option("--no-captures", help="Capture no frames.")]
Require = Annotated[
    list[str] | None,
    typer.Option(
        "--require", help="A case skipped for lack of this capability is an error; repeatable.", metavar="CAP[,CAP]"
    ),
]
SuiteArguments = Annotated[
    list[str] | None,
    typer.Argument(
        help="Suites, test files or node ids; after -- any words of pytest.", autocompletion=_complete_suite
    ),
]


def rare(
    stall_s: float, wall_limit_s: float, spin_ms: int | None, require: Sequence[str] | None, *, no_captures: bool
) -> list[str]:
    """Give the words of pytest that the options for rare occasions are."""
    words = ["--stall", f"{stall_s:g}", "--wall-limit", f"{wall_limit_s:g}"]
    words += ["--spin-ms", str(spin_ms)] if spin_ms is not None else []
    words += ["--no-captures"] if no_captures else []
    return words + [word for name in require or () for word in ("--require", name)]


def workers(given: int | None, backend: str = "timetravel") -> int:
    """Give the number of cases at a time: as wished, else one per CPU that this process may use.

    Where a backend has room for one network only, it is one, whatever was wished: cases would take the machines from
    each other.
    """
    from testbed.backends.registry import alone

    if alone(backend):
        note(f"1 case at a time: backend {backend!r} has room for one network")
        return 1
    count = len(os.sched_getaffinity(0)) if given is None else given
    if given is None:
        note(f"{count} case{'s' if count != 1 else ''} at a time (one per CPU; -n changes it)")
    return count


def network_file(topo: str | None) -> str | None:
    """Give what ``--topo`` says with an absolute path, for workers.

    Raises:
        ConfigError: The file makes no topology; told before anything is built for it.
        CapabilityError: Mininet is not installed.
    """
    from testbed.scenarios.given import absolute, given_topology

    if topo is None:
        return None
    given_topology(topo)
    return absolute(topo)
