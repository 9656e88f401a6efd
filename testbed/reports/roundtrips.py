# SPDX-License-Identifier: MIT
"""The round trips that the workloads of a case measured, beside those of the same case on the oracle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from testbed.errors import ConfigError
from testbed.harness.records import Record
from testbed.reports.percentiles import TABLE, Series, key, of_report, plot, table

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.harness.records import ProcessRecord

MOST_SERIES = 4
"""Distributions in one drawing: as many as there are looks of lines."""
_MOST_BYTES = 1 << 20
_WORKLOAD = "workload"


def card(folder: Path, oracle: Path | None) -> dict[str, Any] | None:
    """Draw the distributions of a case.

    Args:
        folder: The record of an execution.
        oracle: That of the same case on the oracle, whose distributions are drawn beside.

    Returns:
        ``svg``, ``percents`` (the heads of the columns) and ``rows`` (``key``, ``name``, ``values``, ``count``); None
        where no workload of the case measured any.
    """
    own = series(folder)
    if not own:
        return None
    beside = [] if oracle is None else series(oracle)
    found = [*own[: MOST_SERIES - min(len(beside), 1)], *beside][:MOST_SERIES]
    rows = table(found)
    label = "; ".join(f"{name}: 50 / 90 / 99 % {' / '.join(values[:3])}" for name, _, values in rows)
    return {
        "svg": plot(found, f"Percentiles of round trips; {label}"),
        "percents": [f"{percent:g} %" for percent in TABLE],
        "rows": [
            {"key": key(index), "name": name, "values": values, "count": count}
            for index, (name, count, values) in enumerate(rows)
        ],
    }


def series(folder: Path) -> list[Series]:
    """Give the distributions that the workloads of an execution printed; none of a record that cannot be read."""
    try:
        processes = Record.load(folder).processes
    except ConfigError:
        return []
    found = (_series(folder, process) for process in processes)
    return [one for one in found if one is not None]


def _series(folder: Path, process: ProcessRecord) -> Series | None:
    if _WORKLOAD not in process.argv or not 0 < process.stdout_bytes <= _MOST_BYTES:
        return None
    text = (folder / process.folder / "stdout").read_bytes().decode(errors="replace")
    lines = [line for line in text.splitlines() if line.startswith("{")]
    try:
        report = json.loads(lines[-1]) if lines else {}
        return of_report(f"{process.node}: {_name(process.argv)}", report)
    except (ValueError, TypeError, AttributeError):
        return None  # what it printed is no report of ours


def _name(argv: list[str]) -> str:
    """Give flavor and workload, ``catnap tcp-echo``: a library is in a folder of its flavor's name."""
    place = argv[argv.index("--library") + 1].split("/") if "--library" in argv[:-1] else []
    words = [*place[-2:-1], *argv[argv.index(_WORKLOAD) + 1 :][:1]]
    return " ".join(words)
