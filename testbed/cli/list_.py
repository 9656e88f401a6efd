# SPDX-License-Identifier: MIT
"""``testbed list``: what there is."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from testbed.cli import lists
from testbed.cli.names import known
from testbed.cli.output import note, records

# What to list: where the rows come from, and the columns shown without --json.
_KINDS: dict[str, tuple[Callable[[], list[dict[str, Any]]], tuple[str, ...]]] = {
    "suites": (lists.suites, ("name", "files", "what")),
    "cases": (lists.cases, ("suite", "case")),
    "scenarios": (lists.scenarios, ("name", "own", "what")),
    "flavors": (lists.flavors, ("name", "what")),
    "backends": (lists.backends, ("name", "what")),
    "artifacts": (lists.artifacts, ("name", "mib", "build_s", "path")),
    "runs": (lists.runs, ("name", "when", "state", "size", "what", "verdicts")),
}


def _complete(incomplete: str) -> list[str]:
    return [kind for kind in _KINDS if kind.startswith(incomplete)]


def list_(
    kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(_KINDS)}.", autocompletion=_complete)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="All fields, as JSON.")] = False,
) -> None:
    """List suites, cases, scenarios, flavors, backends, artifacts or runs; one line each, columns aligned."""
    find, columns = _KINDS[known("kind of list", kind, _KINDS)]
    found = find()
    records(columns, found, as_json=as_json)
    if kind == "scenarios" and not as_json:
        note(f"SHAPE stands for {lists.shape_parameters()}")
    if not found:
        note(f"there are no {kind} yet")
