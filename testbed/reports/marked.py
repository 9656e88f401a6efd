# SPDX-License-Identifier: MIT
"""Text of strangers on a page: what would not show, or would turn the rest around, is written out and marked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

# As the inside of a character class, for Python and for the page's script alike: C0 (but tab and line feed), DEL, C1,
# soft hyphen, Arabic letter mark, Mongolian vowel separator, zero width and bidirectional marks, line and paragraph
# separators, embeddings, overrides and isolates, invisible operators, the byte order mark, annotations,
# non-characters, and lone surrogates, which stand for bytes that are no UTF-8. Sources: Unicode 15, UAX #9, UTR #36.
CONTROL = (
    r"\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ufffe\uffff"
)
_CONTROL = re.compile(f"[{CONTROL}\ud800-\udfff\U000e0000-\U000e007f]")


def escape(letter: str) -> str:
    r"""Write one character as ``\x1b`` or ``\u202e``; a byte that is no UTF-8 as ``\xff``."""
    number = ord(letter)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def marked(text: str) -> Markup:
    """Escape text for HTML and write out what would not show, in an element that says so."""
    from markupsafe import Markup  # noqa: PLC0415  # comes with jinja2, which is imported late, too

    parts = []
    at = 0
    for found in _CONTROL.finditer(text):
        parts += [Markup.escape(text[at : found.start()]), Markup('<b class="ctl">{}</b>').format(escape(found[0]))]
        at = found.end()
    parts.append(Markup.escape(text[at:]))
    return Markup("").join(parts)


def breakable(text: str) -> Markup:
    """Mark text as ``marked`` does, and let a long name break after its underscores."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup("_<wbr>").join(marked(part) for part in text.split("_"))
