# SPDX-License-Identifier: MIT
"""``python -m tests.mutants [NAME...] [-k PART]``: what ``testbed check --mutants`` runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from testbed.errors import TestbedError
from tests.mutants import mutant, page
from tests.mutants.kernels import Workshop
from tests.mutants.runner import Check, report


def say(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the check; give its exit code."""
    parser = argparse.ArgumentParser(prog="testbed check --mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants")
    parser.add_argument("-k", action="append", default=[], metavar="PART", help="only mutants with this in their name")
    parser.add_argument("--folder", type=Path, default=mutant.FOLDER, help="where the patches are")
    given = parser.parse_args()
    try:
        every = mutant.read_all(given.folder)
        check = Check(mutant.choose(every, given.names, given.k), Workshop(), say)
        findings = check.run()
    except TestbedError as error:
        say(f"error: {error}")
        return int(error.exit_code)
    own = given.folder == mutant.FOLDER
    return int(report(check, findings, every, page.PAGE if own else given.folder / page.PAGE.name))


if __name__ == "__main__":
    raise SystemExit(main())
