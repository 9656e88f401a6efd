# SPDX-License-Identifier: MIT
"""Badges of a run: an SVG, and the JSON that shields.io makes one from, for the library OS and for the whole."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import ConfigError
from testbed.harness.records import write_atomically
from testbed.reports.tally import tally
from testbed.reports.templates import template
from testbed.reports.text import plain
from testbed.verdict import Verdict

if TYPE_CHECKING:
    from testbed.harness.records import RunRecord
    from testbed.reports.tally import Tally

WHOLE = "testbed"
_COLORS = {"PASS": ("brightgreen", "#2b7a0b"), "FAIL": ("red", "#b3261e"), "STOP": ("orange", "#9a5b00")}
_NOTHING = ("lightgrey", "#5f6368")
_LETTER_PX = 6.6  # the mean width of Verdana at 11 px; the text is fitted to what is left for it
_PADDING_PX = 12
_ARTIFACT = re.compile(r"-[0-9].*$|-[0-9a-f]{12}$")


@dataclass(frozen=True)
class Badge:
    """One badge.

    Args:
        label: What it is about, the left half.
        message: What is said of it, the right half.
        word: PASS, FAIL, STOP or SKIP; decides the colour, which says nothing that the message does not.
    """

    label: str
    message: str
    word: str

    def endpoint(self) -> dict[str, Any]:
        """Give what shields.io's endpoint badge reads (shields.io/badges/endpoint-badge)."""
        color, _ = _COLORS.get(self.word, _NOTHING)
        found = {"schemaVersion": 1, "label": self.label, "message": self.message, "color": color}
        return found | {"isError": True} if self.word == "FAIL" else found

    def svg(self) -> str:
        """Draw it."""
        left, right = (round(_LETTER_PX * len(text)) for text in (self.label, self.message))
        _, color = _COLORS.get(self.word, _NOTHING)
        return template("badge.svg.j2").render(badge=self, left=left, right=right, padding=_PADDING_PX, color=color)


def badges(run: RunRecord) -> dict[str, Badge]:
    """Give the badges of a run: file name without its end to badge; the library OS first, then the whole."""
    whole = tally(WHOLE, run.cases)
    flavor = flavor_of(run)
    found = {flavor: _badge(flavor, whole), WHOLE: _badge(WHOLE, whole)}
    if run.problems:
        found[WHOLE] = Badge(WHOLE, f"{len(run.problems)} problems", "FAIL")
    return found


def write(run: RunRecord, folder: Path) -> list[Path]:
    """Write ``NAME.svg`` and ``NAME.json`` for each badge; badges of other library OSes in the folder stay.

    Raises:
        ConfigError: The folder cannot be made or written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, badge in badges(run).items():
            for suffix, text in ((".svg", badge.svg()), (".json", json.dumps(badge.endpoint(), indent=1) + "\n")):
                written.append(folder / f"{name}{suffix}")
                write_atomically(written[-1], text)
    except OSError as error:
        raise ConfigError(f"cannot write badges into {folder}: {error.strerror}", hint="--badges DIR") from error
    return written


def flavor_of(run: RunRecord) -> str:
    """Name the library OS of a run: its flavor, of an artifact's folder what stands before version and fingerprint."""
    name = _ARTIFACT.sub("", Path(run.libos).name)
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).strip(".") or "libos"


def _badge(label: str, found: Tally) -> Badge:
    passed = sum(found.counts.get(verdict, 0) for verdict in (Verdict.PASSED, Verdict.XFAILED))
    if found.word == "PASS":
        same = f", {found.identical}x identical" if found.identical else ""
        return Badge(plain(label), f"{passed} passed{same}", found.word)
    return Badge(plain(label), found.in_words, found.word)
