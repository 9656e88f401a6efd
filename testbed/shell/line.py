# SPDX-License-Identifier: MIT
"""One line of the shell taken apart: its words, where they stand, and whether it needs ``sh`` or the background."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from testbed.errors import ConfigError

_SPECIAL = "|<>;&()$`*?"
"""What only ``sh`` knows: operators and expansions."""
_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")


@dataclass(frozen=True)
class Word:
    """One word.

    Args:
        text: What it means, without quotes.
        start: Where it begins in the line.
        end: Where it ends.
        bare: Whether nothing in it was quoted.
    """

    text: str
    start: int
    end: int
    bare: bool


@dataclass(frozen=True)
class Line:
    """A line as it was understood.

    Args:
        text: The line without its comment, its ``-`` in front and its ``&`` at the end.
        words: Its words.
        special: Whether something in it needs ``sh``.
        background: Whether it ended in ``&``.
        may_fail: Whether it began with ``-``: its failure counts for nothing, as in make(1).
        body: The lines of a here-document.
    """

    text: str
    words: tuple[Word, ...]
    special: bool
    background: bool
    may_fail: bool
    body: str = ""

    def rest(self, first: int) -> str:
        """Give the line from a word on, as it was typed."""
        return self.text[self.words[first].start :] if len(self.words) > first else ""


def parse(text: str) -> Line:
    """Take a line apart.

    Raises:
        ConfigError: A quote is not closed.
    """
    head, _, body = text.strip().partition("\n")
    text = head.rstrip()
    may_fail = text.startswith("-") and text[1:2] not in ("", " ", "-")
    text = text.removeprefix("-") if may_fail else text
    words, special, end = _scan(text)
    background = False
    if special and words and re.search(r"(?<![&\\])&$", text[:end].rstrip()):
        text, background = text[:end].rstrip()[:-1].rstrip(), True
        words, special, end = _scan(text)
    return Line(text[:end].rstrip(), tuple(words), special, background, may_fail, body)


def here_word(text: str) -> str | None:
    """Give the word that ends the here-document which a line begins (``<<END``), or None."""
    line = parse(text)
    found = _HERE.search(line.text) if line.special else None
    return None if found is None else found[2]


def _scan(text: str) -> tuple[list[Word], bool, int]:
    """Find the words, whether anything outside of quotes is for ``sh``, and where the comment begins."""
    words: list[Word] = []
    special, start, quote, index = False, -1, "", 0
    while index < len(text):
        letter = text[index]
        if quote:
            if letter == "\\" and quote == '"':
                index += 1
            elif letter == quote:
                quote = ""
            elif letter in "$`" and quote == '"':
                special = True
        elif letter in "'\"":
            quote, start = letter, index if start < 0 else start
        elif letter.isspace() or letter in "|<>;&()":
            special |= not letter.isspace()
            if start >= 0:
                words.append(_word(text, start, index))
            start = -1
        elif letter == "#" and start < 0:
            return words, special, index
        else:
            start = index if start < 0 else start
            special |= letter in _SPECIAL
            index += letter == "\\"
        index += 1
    if quote:
        raise ConfigError(f"a quote is not closed in {text!r}", hint=f"add {quote} or put a \\ in front of it")
    if start >= 0:
        words.append(_word(text, start, len(text)))
    return words, special, len(text)


def _word(text: str, start: int, end: int) -> Word:
    raw = text[start:end]
    try:
        (meant,) = shlex.split(raw) or [""]
    except ValueError:  # a backslash at the very end
        meant = raw
    return Word(meant, start, end, bare=not set(raw) & set("'\"\\"))
