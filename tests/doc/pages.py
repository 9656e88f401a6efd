# SPDX-License-Identifier: MIT
"""The pages of the manual taken apart: fenced blocks with the markers above them, and the commands in them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "doc").rglob("*.md")])
RUN = frozenset({"sh", "console"})
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w-]*)[^\n`]*$")
_MARKER = re.compile(r"<!--\s*(?P<word>not run|exits|before|file):?\s+(?P<text>.*?)\s*-->", re.DOTALL)
_COMMENTS_AT_END = re.compile(r"(?:<!--(?:(?!-->).)*-->\s*)+\Z", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: The page's path in the checkout.
        line: Number of the fence's line, from 1.
        language: ``sh``, ``console``, ``python``, ...
        text: What is in it, without its indentation.
        not_run: Why the test does not run it; None where it does.
        exits: Exit code of its last command.
        before: Commands, not shown to readers, that make what it needs.
        file: Where its text is to lie, from the page's folder.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str | None = None
    exits: int = 0
    before: str = ""
    file: str | None = None

    @property
    def where(self) -> str:
        """Say where it stands: ``doc/cli.md:12``."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a block: its words, and the output that the page shows (None = shows none)."""

    text: str
    shown: str | None


def name_of(page: Path) -> str:
    """Give a page's path in the checkout."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, page: str = "page.md") -> Iterator[Block]:
    """Find the fenced blocks of a page, in order, with their markers: comments right above a fence."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        end = number + 1
        while end < len(lines) and lines[end].strip() != opening["ticks"]:
            end += 1
        body = textwrap.dedent("\n".join(lines[number + 1 : end]) + "\n")
        found = _markers("\n".join(lines[:number]))
        yield Block(
            page,
            number + 1,
            opening["language"],
            body,
            not_run=found.get("not run"),
            exits=int(found.get("exits", "0")),
            before=found.get("before", ""),
            file=found.get("file"),
        )
        number = end + 1


def commands(block: Block) -> list[Command]:
    """Give what is to be run: an ``sh`` block as one script, a ``console`` block by its lines that begin with ``$``."""
    if block.language == "sh":
        return [Command(block.text, None)]
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], None))
        elif found and line.startswith("> ") and found[-1].shown is None:
            found[-1] = Command(f"{found[-1].text}\n{line[2:]}", None)
        elif found:
            found[-1] = Command(found[-1].text, (found[-1].shown or "") + line + "\n")
    return found


def _markers(above: str) -> dict[str, str]:
    """Read the comments that stand directly above a fence, without an empty line between."""
    comments = _COMMENTS_AT_END.search(above)
    if comments is None or "\n\n" in above[comments.end() :] or above.endswith("\n"):
        return {}
    return {found["word"]: found["text"] for found in _MARKER.finditer(comments[0])}
