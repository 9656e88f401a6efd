# SPDX-License-Identifier: MIT
"""``testbed show``: the topology of a scenario, or of a case of a run, drawn in the terminal or as SVG."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import options
from testbed.cli.output import check_writable, line, note, print_json
from testbed.cli.scenario_words import chosen, topology_of
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from testbed.scenarios.topology import Topology

_SVG = "--svg FILE, in a folder that is there; --svg - writes it to stdout"


def show(
    what: Annotated[
        str | None,
        typer.Argument(
            help="A scenario (lan:n=10), or a run: its folder, its name or 'latest'.",
            metavar="SCENARIO|RUN",
            autocompletion=options.complete_scenario,
        ),
    ] = None,
    case: Annotated[
        str | None, typer.Argument(help="The case of the run; needed where it has more than one.", metavar="CASE")
    ] = None,
    *,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="A parameter of the scenario; repeatable.", metavar="K=V"),
    ] = None,
    topo: options.Topo = None,
    svg_file: Annotated[
        Path | None, typer.Option("--svg", help="Write a drawing to this file; - is stdout.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The topology as data.")] = False,
) -> None:
    """Draw a topology: boxes and lines in the terminal, SVG, or JSON."""
    from testbed.reports.drawing import svg, text

    if (what is None) == (topo is None):
        raise ConfigError("wanted: a scenario, a run, or --topo FILE.py:CLASS", hint="testbed show lan")
    topology = _topology(what, case, param or []) if what is not None else chosen("", param or [], topo)
    if as_json:
        print_json(topology.to_dict())
    if svg_file is not None and str(svg_file) != "-":
        check_writable(svg_file, "the drawing", _SVG)
    if svg_file is not None:
        _write(svg_file, svg(topology))
    if not as_json and svg_file is None:
        line(text(topology, shutil.get_terminal_size((100, 24)).columns))


def _topology(what: str, case: str | None, param: list[str]) -> "Topology":
    from testbed.scenarios.registry import scenarios

    name = what.partition(":")[0]
    names = [info.name for info in scenarios()]
    if name in names and case is None:
        return topology_of(what, param)
    from testbed.harness import lookup

    try:
        folder, run = lookup.open_run(what)
    except ConfigError as error:
        hint = f"scenarios: {', '.join(names)}; testbed list runs"
        raise ConfigError(f"{what!r} is no scenario and no run: {error.message}", hint=hint) from error
    if param:
        raise ConfigError("--param is for scenarios; the topology of a run is what it was")
    if case is None and len(run.cases) != 1:
        shown = ", ".join(entry.nodeid for entry in run.cases[:3])
        raise ConfigError(
            f"the run has {len(run.cases)} cases; which one? {shown}...", hint=f"testbed show {what} CASE"
        )
    found = run.cases[0] if case is None else lookup.find_case(run, case)
    return _recorded(lookup.find_record(folder, found))


def _recorded(record: Path) -> "Topology":
    """Read the topology that a record keeps.

    Raises:
        ConfigError: It has none, or none that can be read.
    """
    from testbed.harness.recorder import TOPOLOGY_FILE
    from testbed.scenarios.topology import Topology

    file = record / TOPOLOGY_FILE
    try:
        return Topology.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        hint = "records made before testbed kept topologies have none; run the case again"
        raise ConfigError(f"the record {record} has no {TOPOLOGY_FILE}", hint=hint) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error


def _write(file: Path, drawing: str) -> None:
    if str(file) == "-":
        line(drawing)
        return
    try:
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write the drawing to {str(file)!r}: {error.strerror}", hint=_SVG) from error
    note(f"drawing: {file}")
