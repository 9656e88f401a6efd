# SPDX-License-Identifier: MIT
"""Text of strangers (process output, kernel logs, assertions) made safe to stand in XML and in Markdown."""

from __future__ import annotations

import re

# ECMA-48, 5.4 and 5.6: control sequences (colours, cursor), command strings (titles, links), other escapes.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
# What XML 1.0 (2.2, Char) forbids, what a terminal or browser would obey, and what turns the order of text around.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_BACKTICKS = re.compile(r"`+")
LEFT_OUT = "[... {count} characters left out ...]"


def plain(text: str) -> str:
    r"""Take terminal sequences out, and write every other control character as ``\x07`` or ``\u202e``.

    Tabs and line ends stay; of ``CR LF`` the line end. The result may stand in any XML 1.0 document.
    """
    text = _TERMINAL.sub("", text.replace("\r\n", "\n"))
    return _UNSAFE.sub(lambda found: _escape(ord(found[0])), text)


def _escape(number: int) -> str:
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"


def shortened(text: str, limit: int) -> str:
    """Keep the end of a long text, where the trouble usually is, and say how much is left out.

    Args:
        text: Any.
        limit: Characters that are kept.
    """
    if len(text) <= limit:
        return text
    return f"{LEFT_OUT.format(count=len(text) - limit)}\n{text[-limit:]}"


def code(text: str) -> str:
    """Write text as a code span of Markdown: nothing in it has a meaning.

    Source: CommonMark 0.31, 6.1 (code spans).
    """
    flat = " ".join(plain(text).split())
    if not flat:
        return ""
    fence = "`" * (_longest(flat) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def cell(text: str) -> str:
    """Write text as a code span in a cell of a table.

    Source: GFM 0.29, 4.10 (``|`` in a cell is escaped, in code too).
    """
    return code(text).replace("|", "\\|")


def fenced(text: str, language: str = "text") -> str:
    """Write text as a fenced block of Markdown, which nothing in it can end.

    Source: CommonMark 0.31, 4.5 (fenced code blocks).
    """
    safe = plain(text).strip("\n")
    fence = "`" * max(3, _longest(safe) + 1)
    return f"{fence}{language}\n{safe}\n{fence}"


def _longest(text: str) -> int:
    """Give the length of the longest run of backticks."""
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
