# SPDX-License-Identifier: MIT
"""The round trips of ``testbed bench`` as one self-contained page: ours and the peer's in one drawing each."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.harness.records import write_atomically
from testbed.reports.percentiles import TABLE, Series, key, plot, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TEMPLATES = Path(__file__).parent / "templates"
_FEW_ROUNDS = 100
"""Below that many a distribution tells nothing."""


def write(file: Path, figures: Iterable[Mapping[str, Any]], about: str) -> None:
    """Write the page.

    Args:
        file: Where to.
        figures: As in the ``figures`` of ``bench --json``; one without round trips is left out.
        about: A line on the machine and the runs.

    Raises:
        OSError: The file cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 (not every command needs it)

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    style = "\n".join((_TEMPLATES / name).read_text() for name in ("distributions.css", "percentiles.css"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    text = environment.get_template("distributions.html.j2").render(
        style=style,
        style_hash=f"'sha256-{digest}'",
        about=about,
        percents=[f"{percent:g}" for percent in TABLE],
        figures=[_drawn(figure, found) for figure in figures if (found := series(figure))],
    )
    write_atomically(file, text)


def series(figure: Mapping[str, Any]) -> list[Series]:
    """Give the distributions of a figure's last run, ours first; none where it is not of round trips."""
    last: Mapping[str, Any] = figure["details"][-1] if figure["details"] else {}
    return [
        Series.of_percentiles(name, side["rounds"], side["percentiles_us"])
        for name, side in last.items()
        if isinstance(side, dict) and side.get("rounds", 0) > _FEW_ROUNDS
    ]


def _drawn(figure: Mapping[str, Any], found: list[Series]) -> dict[str, Any]:
    words = ", ".join(f"{name}: {' / '.join(values[:3])}" for name, _, values in table(found))
    ratio = f"{figure['median']:.3g} {figure['unit']}" if figure["median"] is not None else ""
    return {
        "name": figure["name"],
        "what": figure["what"],
        "ratio": ratio,
        "svg": plot(found, f"Percentiles of {figure['name']}; 50 / 90 / 99 % of {words}"),
        "rows": table(found),
        "looks": [key(index) for index in range(len(found))],
    }
