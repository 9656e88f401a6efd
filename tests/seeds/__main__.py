# SPDX-License-Identifier: MIT
"""``python -m tests.seeds [--seeds 1-20] [-s SUITE]...``: what ``testbed check seeds`` runs."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from testbed.errors import TestbedError
from tests.seeds.survey import SUITES, Survey, parse_seeds, run_suite, table


def say(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the suites; give the exit code."""
    parser = argparse.ArgumentParser(prog="testbed check seeds", description=__doc__)
    parser.add_argument("--seeds", default="1-20", help="ranges and numbers, such as 1-5,8")
    parser.add_argument("-s", "--suite", action="append", default=[], help="only these suites of the kernel")
    parser.add_argument("-n", "--workers", type=int, default=2, help="cases at a time")
    parser.add_argument("--runs", type=Path, help="where the records of the runs stay; default: nowhere")
    given = parser.parse_args()
    try:
        seeds = parse_seeds(given.seeds)
        with tempfile.TemporaryDirectory(prefix="testbed-seeds-") as scratch:
            folder = given.runs or Path(scratch)
            survey = Survey(
                seeds, given.suite or SUITES, lambda seed, suite: run_suite(seed, suite, given.workers, folder), say
            )
            rows = survey.run()
    except TestbedError as error:
        say(f"error: {error}")
        return int(error.exit_code)
    say("")
    for line in table(rows):
        say(line)
    return int(survey.exit_code)


if __name__ == "__main__":
    raise SystemExit(main())
