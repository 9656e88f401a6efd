# SPDX-License-Identifier: MIT
"""``testbed report``: a run as one HTML page."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.output import line, note
from testbed.cli.progress import progress
from testbed.errors import CapabilityError, ConfigError


def report(
    run: Annotated[str, typer.Argument(help="A run: folder, id, beginning of an id, or 'latest'.")] = "latest",
    *,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="The page; default: report.html in the run's folder.", metavar="FILE"),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in your browser.")] = False,
) -> None:
    """Write a run as one HTML page: verdicts, packets, flows, processes, and where executions diverged."""
    from testbed.harness.lookup import find_run
    from testbed.reports.html import write

    folder = find_run(run)
    if html is not None and (html.is_dir() or not html.absolute().parent.is_dir()):
        found = "it is a folder" if html.is_dir() else f"there is no folder {html.absolute().parent}"
        raise ConfigError(f"cannot write the page {str(html)!r}: {found}", hint="--html FILE")
    try:
        with progress("report") as told:
            file = write(folder, html, progress=lambda done, total: told("cases", done, total))
    except OSError as error:
        raise ConfigError(f"cannot write the page: {error}", hint="--html FILE writes it elsewhere") from error
    line(str(file))
    note(f"{file.stat().st_size / 1e6:.1f} MB; it may be moved, but its links to captures may not")
    if open_it and not webbrowser.open(file.absolute().as_uri()):
        raise CapabilityError("there is no browser to open the page with", hint=f"open {file} yourself")
