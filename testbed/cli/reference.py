# SPDX-License-Identifier: MIT
"""The page of all commands, made from the command line itself: ``python -m testbed.cli.reference --write``."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import typer.main

from testbed.cli import main
from testbed.cli.checkout import checkout
from testbed.cli.output import line

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "doc/cli-reference.md"
_HEAD = """\
# Reference of the commands

<!-- Made by `python -m testbed.cli.reference --write`; a test says when it is old. -->

What `--help` says, all on one page. Examples, exit codes and environment variables: [command line](cli.md).
"""
_EVERYWHERE = frozenset({"--help", "--install-completion", "--show-completion"})


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Walk through all commands: the words that lead to each, and typer's object."""

    def walk(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield path, command
        for name, child in getattr(command, "commands", {}).items():
            yield from walk((*path, name), child)

    yield from walk((), typer.main.get_command(main.app))


def render() -> str:
    """Write the page."""
    return "\n".join([_HEAD, *(_section(path, command) for path, command in commands() if path)])


def _section(path: tuple[str, ...], command: Any) -> str:
    name = " ".join(("testbed", *path))
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"{'#' * (len(path) + 1)} {name}\n", f"{_paragraphs(command.help or '')}\n", f"`{usage}`\n"]
    rows = [_row(param, context) for param in command.get_params(context)]
    if any(rows):
        parts.append("\n".join(["| word | is |", "| --- | --- |", *(row for row in rows if row)]) + "\n")
    if command.epilog:
        parts.append(f"Example: `{command.epilog.removeprefix('Example: ')}`\n")
    return "\n".join(parts)


def _row(param: Any, context: Any) -> str | None:
    record = param.get_help_record(context)
    if record is None or _EVERYWHERE & set(param.opts):
        return None
    words, what = record
    words = words.replace("|", "\\|")  # in a cell of a table, in code too
    return f"| `{words}` | {_escaped(' '.join((what or '').split()))} |".replace("` |  |", "` | |")


def _paragraphs(text: str) -> str:
    return "\n\n".join(_escaped(" ".join(part.split())) for part in re.split(r"\n\s*\n", text.strip("\f\n ")))


def _escaped(text: str) -> str:
    """Keep what has a meaning in Markdown as text, but for code spans."""
    parts = re.split(r"(`[^`]*`)", text.replace("|", "\\|"))
    return "".join(part if part.startswith("`") else re.sub(r"([<>*_\[\]])", r"\\\1", part) for part in parts)


def write() -> None:
    """Print the page, or with ``--write`` put it into the manual."""
    if "--write" in sys.argv[1:]:
        (checkout() / FILE).write_text(render(), encoding="utf-8")
        line(FILE)
    else:
        line(render().rstrip("\n"))


if __name__ == "__main__":
    write()
