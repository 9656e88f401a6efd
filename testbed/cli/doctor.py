# SPDX-License-Identifier: MIT
"""``testbed doctor``: what this machine can and cannot, and what to do about it."""

from typing import Annotated

import typer

from testbed.cli.output import called, line, print_json, rows
from testbed.errors import ExitCode


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="All checks as JSON, for programs.")] = False,
) -> None:
    """Show what this machine can do, what it cannot, and what to type about that; exits 7 when nothing could run."""
    from testbed.cli import machine

    checks = machine.examine()
    missing = [check for check in checks if check.status == "missing"]
    if as_json:
        fields = ("name", "status", "found", "remedy", "package")
        print_json({"ready": not missing, "checks": [{key: getattr(check, key) for key in fields} for check in checks]})
    else:
        rows(("status", "what", "found"), [[check.status, check.name, check.found] for check in checks])
        line("")
        for check in checks:
            if check.remedy:
                line(f"{check.name}: {check.remedy}")
        line(called(machine.closing(missing)))
    if missing:
        raise typer.Exit(int(ExitCode.CANNOT))
