# SPDX-License-Identifier: MIT
"""``testbed bench``: the figures of this machine, with peers measured in the same session."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli.checkout import checkout
from testbed.cli.names import known
from testbed.cli.output import check_writable, line, note, rows
from testbed.errors import ExitCode

if TYPE_CHECKING:
    from benchmarks.figure import Figure, Measured


_PERCENTILES = ("0", "50", "90", "99", "99.9", "99.99", "100")
_FEW_ROUNDS = 100


def _figures() -> "dict[str, Figure]":
    """Import the benchmarks of the checkout, which are no part of the installed package."""
    root = str(checkout())
    if root not in sys.path:
        sys.path.insert(0, root)
    from benchmarks.registry import FIGURES

    return FIGURES


def _complete(incomplete: str) -> list[str]:
    figures = _figures()
    return [name for name in [*figures, *_groups(figures)] if name.startswith(incomplete)]


def _groups(figures: "dict[str, Figure]") -> "dict[str, list[Figure]]":
    """Give the names that stand for several figures, with these."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures.values():
        if figure.group:
            groups.setdefault(figure.group, []).append(figure)
    return groups


def _chosen(figures: "dict[str, Figure]", names: list[str] | None) -> "list[Figure]":
    """Give the figures of some names, each once; of none, all."""
    every = _groups(figures) | {name: [figure] for name, figure in figures.items()}
    found = [figure for name in names or figures for figure in every[known("figure", name, every)]]
    return list({figure.name: figure for figure in found}.values())


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Only these figures; libos is all of the LibOSes.", autocompletion=_complete),
    ] = None,
    *,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each figure; the median counts.")] = 5,
    every: Annotated[bool, typer.Option("--all", help="The slow ones, too.")] = False,
    show: Annotated[bool, typer.Option("--list", help="Only list the figures and their goals.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all values there; - is stdout.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Draw the distributions of round trips there, as a page.")
    ] = None,
) -> None:
    """Measure the figures of this machine and its peers; exits 1 when a goal is missed or a figure fails."""
    figures = _figures()
    chosen = _chosen(figures, names)
    if show:
        rows(("name", "goal", "what"), [[figure.name, _goal(figure), figure.what] for figure in chosen])
        return
    chosen = [figure for figure in chosen if names or every or not figure.slow]
    if json_file is not None and str(json_file) != "-":
        check_writable(json_file, "the values", "--json FILE")
    measured = _all(chosen, runs)
    if json_file is None or str(json_file) != "-":
        rows(("figure", "median", "range", "goal", "verdict", "what"), [_row(entry) for entry in measured])
        spread = [row for entry in measured for row in _distributions(entry)]
        if spread:
            rows(("round trips, us", "of", *(f"{percent} %" for percent in _PERCENTILES)), spread)
    if json_file is not None:
        _save(json_file, measured, runs)
    if html_file is not None:
        _draw(html_file, measured, runs)
    left_out = [figure.name for figure in figures.values() if figure.slow and figure not in chosen]
    if left_out and not names:
        note(f"not measured because slow (--all, or by name): {', '.join(left_out)}")
    if any(entry.verdict in ("MISSED", "FAILED") for entry in measured):
        raise typer.Exit(int(ExitCode.FAILED))


def _all(chosen: "list[Figure]", runs: int) -> "list[Measured]":
    """Measure one figure after the other; between them it is said how long they took the last time, never meanwhile."""
    from benchmarks.figure import take
    from testbed.harness.durations import Durations, about

    durations = Durations.load()
    measured = []
    for number, figure in enumerate(chosen):
        lengths = [durations.get(f"bench {entry.name}") for entry in chosen[number:]]
        waiting = zip(chosen[number:], lengths, strict=True)
        known = [length * (1 if entry.once else runs) for entry, length in waiting if length]
        forecast = ""
        if lengths[0]:
            forecast = f" (it took {about(known[0])} the last time"
            forecast += (
                f"; about {about(sum(known) / len(known) * len(lengths))} left in all)" if len(lengths) > 1 else ")"
            )
        note(f"measuring {figure.name}: {figure.what}{forecast}")
        begin = time.monotonic()
        measured.append(take(figure, runs))
        note("   " + "  ".join(_row(measured[-1])[1:5]))
        if measured[-1].values:
            durations.put(f"bench {figure.name}", (time.monotonic() - begin) / (1 if figure.once else runs))
            durations.save()
    return measured


def _row(entry: "Measured") -> list[str]:
    figure = entry.figure
    if entry.median is None:
        why = entry.skipped or entry.failed
        return [figure.name, "-", "-", _goal(figure), entry.verdict, f"{figure.what} ({why})"]
    spread = f"{min(entry.values):.3g}..{max(entry.values):.3g}" if len(entry.values) > 1 else "-"
    return [figure.name, f"{entry.median:.3g} {figure.unit}", spread, _goal(figure), entry.verdict or "-", figure.what]


def _distributions(entry: "Measured") -> list[list[str]]:
    """Give the percentiles of ours and of the peer in the last run, where the figure is of round trips."""
    found = entry.details[-1] if entry.details else {}
    return [
        [entry.figure.name, name, *(f"{side['percentiles_us'][percent]:.3g}" for percent in _PERCENTILES)]
        for name, side in found.items()
        if isinstance(side, dict) and side["rounds"] > _FEW_ROUNDS
    ]


def _goal(figure: "Figure") -> str:
    if figure.peer:
        return "peer"
    if figure.at_least is not None:
        return f">= {figure.at_least:g} {figure.unit}"
    return "-" if figure.at_most is None else f"<= {figure.at_most:g} {figure.unit}"


def _draw(file: Path, measured: "list[Measured]", runs: int) -> None:
    """Draw the distributions of the last run of each figure."""
    import os
    import platform

    from testbed.reports import distributions

    machine = f"Linux {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs"
    about = f"{machine}. Medians of {runs} runs; the distributions are those of the last one."
    distributions.write(file, [entry.to_dict() for entry in measured], about)
    note(f"round trips are drawn in {file}")


def _save(file: Path, measured: "list[Measured]", runs: int) -> None:
    """Write the values, with the facts about the machine that they depend on."""
    import os
    import platform

    machine = {"kernel": platform.release(), "machine": platform.machine(), "cpus": os.cpu_count()}
    value: dict[str, Any] = {"schema": 1, "runs": runs, "machine": machine}
    value["figures"] = [entry.to_dict() for entry in measured]
    text = json.dumps(value, indent=2)
    if str(file) == "-":
        line(text)
    else:
        file.write_text(text + "\n", encoding="utf-8")
