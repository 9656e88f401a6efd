# SPDX-License-Identifier: MIT
"""``testbed version``: what exactly is installed here."""

import platform
import sys
from typing import Annotated

import typer

from testbed import __version__
from testbed.cli.output import line, print_json
from testbed.paths import package_dir


def version(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="All facts, as JSON.")] = False,
) -> None:
    """Print the version of testbed, and with --json of what it runs on."""
    if not as_json:
        line(f"testbed {__version__}")
        return
    print_json(
        {
            "testbed": __version__,
            "python": platform.python_version(),
            "executable": sys.executable,
            "package": str(package_dir()),
            "kernel": platform.release(),
            "machine": platform.machine(),
        },
    )
