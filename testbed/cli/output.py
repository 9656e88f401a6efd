# SPDX-License-Identifier: MIT
"""Where words go: data to stdout, all else to stderr; rich is imported when something is printed, not before."""

from __future__ import annotations

import json
import os
import re
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from testbed.errors import ConfigError
from testbed.paths import program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console


@cache
def notes() -> Console:
    """Give the console of everything that is not data (stderr; NO_COLOR and a missing terminal are respected)."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


@cache
def data() -> Console:
    """Give the console of data (stdout)."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def note(text: str, *, style: str | None = None) -> None:
    """Print one line to stderr, without markup."""
    if sys.stderr.isatty():
        notes().print(text, style=style, markup=False)
    else:
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def called(text: str) -> str:
    """Put what the user types to call us in the place of ``testbed``, so that a hint can be typed as it stands."""
    return re.sub(r"(?<![\w./-])testbed(?= [a-z-])", lambda _: program(), text)


def line(text: str) -> None:
    """Print one line of data to stdout."""
    print(text, flush=True)  # noqa: T201


def print_json(value: Any) -> None:
    """Print a value as indented JSON to stdout, keys in the order they were given."""
    line(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def rows(headings: Sequence[str], table: Sequence[Sequence[str]]) -> None:
    """Print a table of text: aligned columns, headings only on a terminal, so that ``cut`` and ``awk`` get data alone.

    Args:
        headings: One word per column.
        table: Rows of as many cells.
    """
    shown = [[*map(str.upper, headings)], *table] if sys.stdout.isatty() else [*table]
    if not shown:
        return
    widths = [max(len(row[column]) for row in shown) for column in range(len(headings))]
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line("  ".join(cells).rstrip())


def records(headings: Sequence[str], found: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print the same records as a table or as JSON.

    Args:
        headings: Keys of the records, in the order of the columns.
        found: One mapping per row.
        as_json: Print all keys as a JSON list instead.
    """
    if as_json:
        print_json([dict(entry) for entry in found])
    else:
        rows(headings, [[str(entry.get(key, "")) for key in headings] for entry in found])


def check_writable(file: Path, what: str, hint: str) -> None:
    """Refuse a file that could not be written, before the work whose result it is to hold.

    Args:
        file: The file; it is not made.
        what: What it is to hold: ``the drawing``.
        hint: How the option is written.

    Raises:
        ConfigError: It is a folder, lies in none, or may not be written.
    """
    folder = file.absolute().parent
    found = ""
    if file.is_dir():
        found = "it is a folder"
    elif not folder.is_dir():
        found = f"there is no folder {folder}"
    elif not os.access(file if file.exists() else folder, os.W_OK):
        found = "it may not be written by you"
    if found:
        raise ConfigError(f"cannot write {what} to {str(file)!r}: {found}", hint=hint)
