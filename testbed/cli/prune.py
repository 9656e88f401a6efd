# SPDX-License-Identifier: MIT
"""``testbed prune``: remove old runs and artifacts, and nothing that testbed did not make."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.output import line, note
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")


def prune(
    *,
    keep: Annotated[
        int | None, typer.Option(min=0, help="How many of the newest runs stay.", show_default=False)
    ] = None,
    older: Annotated[
        str | None,
        typer.Option(help="Only what is older than this: 30d, 12h, 2w, 45m.", metavar="AGE", show_default=False),
    ] = None,
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="Artifacts, too, that no run which stays names: old or superseded ones.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only print what would be removed.")] = False,
) -> None:
    """Remove old runs of the runs folder, and on request artifacts. Prints bytes and path of what is removed.

    A run that goes on, one that cannot be read, and one with things in it that testbed did not make, stay.
    """
    from testbed.harness.prune import plan, remove_artifact, remove_run, tidy

    if keep is None and older is None and not artifacts:
        raise ConfigError(
            "prune wants to know what may go", hint="testbed prune --keep 10, or --older 30d, or --artifacts"
        )
    found = plan(time.time(), keep=keep, older_s=None if older is None else age_s(older), artifacts=artifacts)
    counts = [
        _remove(found.runs, remove_run, dry_run=dry_run),
        _remove(found.artifacts, remove_artifact, dry_run=dry_run),
    ]
    if not dry_run:
        tidy()
    for path, reason in found.stays:
        note(f"stays: {path}: {reason}")
    total = sum(size for _, size in counts)
    done = "would be removed" if dry_run else "removed"
    note(f"{counts[0][0]} runs and {counts[1][0]} artifacts {done}: {total} bytes ({total / (1 << 20):.1f} MiB)")


def age_s(text: str) -> float:
    """Read an age: a number with s, m, h, d or w; without a unit, days.

    Raises:
        ConfigError: It is none.
    """
    found = _AGE.fullmatch(text)
    if found is None:
        raise ConfigError(f"an age is a number and one of {' '.join(_UNITS)}, found {text!r}", hint="--older 30d")
    return float(found[1]) * _UNITS[found[2] or "d"]


def _remove(folders: list[Path], remove: Callable[[Path], bool], *, dry_run: bool) -> tuple[int, int]:
    """Remove folders one by one; give how many, and their bytes."""
    from testbed.harness.prune import size_bytes

    count = total = 0
    for folder in folders:
        size = size_bytes(folder)
        if not dry_run and not remove(folder):
            note(f"stays: {folder}: a run is using it")
            continue
        line(f"{size:12}  {folder}")
        count, total = count + 1, total + size
    return count, total
