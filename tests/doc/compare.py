# SPDX-License-Identifier: MIT
"""Is what a command printed what the page shows? Times, digests and names of runs may be others."""

from __future__ import annotations

import difflib
import re

ANY = "..."
# What no two days agree in: pattern to what stands for it on both sides.
_OTHERS = (
    (re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b"), "<run>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.:+-]*"), "<date>"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "<digest>"),
    (re.compile(r"\bin \d+(?:\.\d+)? ?s\b"), "in <wall time>"),
    (re.compile(r"\b\d+(?:\.\d+)? wall s\b"), "<wall time>"),
    (re.compile(r"\b\d+ cases? at a time\b"), "<n> cases at a time"),
    (re.compile(r"[ \t]+"), " "),
)


def plain(text: str) -> list[str]:
    """Give the lines of an output with a word for whatever changes from run to run."""
    for pattern, word in _OTHERS:
        text = pattern.sub(word, text)
    return [line.strip() for line in text.strip().splitlines()]


def agrees(shown: str, printed: str) -> bool:
    """Say whether an output is the shown one; ``...`` stands for any text in a line, alone for any lines."""
    parts = [r"(?:.*\n)*?" if line == ANY else _pattern(line) for line in plain(shown)]
    return re.fullmatch("".join(parts), "".join(f"{line}\n" for line in plain(printed))) is not None


def difference(shown: str, printed: str) -> str:
    """Show both side by side, as a diff."""
    return "\n".join(difflib.unified_diff(plain(shown), plain(printed), "the page shows", "it prints", lineterm=""))


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split(ANY)) + r"\n"
