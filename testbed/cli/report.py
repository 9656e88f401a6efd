# SPDX-License-Identifier: MIT
"""``testbed report``: a run as one HTML page; or as a summary in Markdown, badges."""

import dataclasses
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import options
from testbed.cli.output import line, note
from testbed.cli.progress import progress
from testbed.cli.publish import Publish
from testbed.errors import CapabilityError, ConfigError


def report(
    run: Annotated[str, typer.Argument(help="A run: folder, id, beginning of an id, or 'latest'.")] = "latest",
    *,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="The page; default: report.html in the run's folder.", metavar="FILE"),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in your browser.")] = False,
    summary: options.Summary = None,
    badges: options.Badges = None,
) -> None:
    """Write a run as one HTML page: verdicts, packets, flows, processes, and where executions diverged.

    With --summary or --badges only these are written, unless --html or --open asks for the page, too.
    """
    from testbed.harness.lookup import find_run
    from testbed.harness.records import load_run
    from testbed.reports.html import write

    folder = find_run(run)
    if summary is not None or badges is not None:
        publish = dataclasses.replace(
            Publish.checked(summary, badges), step_summary=None, annotate=False
        )  # nothing runs: no job's page
        publish(load_run(folder), folder)
        if html is None and not open_it:
            return
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
