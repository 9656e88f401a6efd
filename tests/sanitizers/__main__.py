# SPDX-License-Identifier: MIT
"""``python -m tests.sanitizers [NAME...]``: what ``testbed check sanitizers`` runs."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from testbed.errors import CapabilityError, ExitCode
from testbed.paths import package_dir
from tests.sanitizers.runs import RUNS

if TYPE_CHECKING:
    from tests.sanitizers.runs import Run

TOOLCHAIN = "nightly"


def say(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def components() -> frozenset[str]:
    """Give the components of the nightly toolchain, without their targets.

    Raises:
        CapabilityError: There is no such toolchain.
    """
    hint = f"rustup toolchain install {TOOLCHAIN} --component rust-src --component miri"
    if shutil.which("rustup") is None:
        raise CapabilityError("sanitizers need a nightly toolchain, and there is no rustup", hint=hint)
    argv = ["rustup", "component", "list", "--toolchain", TOOLCHAIN, "--installed"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CapabilityError(f"sanitizers need the toolchain {TOOLCHAIN}: {done.stderr.strip()[:200]}", hint=hint)
    return frozenset(line.removesuffix("-x86_64-unknown-linux-gnu") for line in done.stdout.split())


def run(what: Run) -> int:
    """Run one sanitizer over its crates; give cargo's exit code."""
    folder = package_dir() / "libos"
    argv = ["cargo", f"+{TOOLCHAIN}", *what.words]
    say(f"== {what.name}: {' '.join(argv)}")
    # Each has artifacts of its own: with another sanitizer all of them are others.
    env = {**os.environ, **what.env, "CARGO_TARGET_DIR": str(folder / "target" / f"sanitizer-{what.name}")}
    return subprocess.run(argv, cwd=folder, env=env, check=False).returncode


def main() -> int:
    """Run the sanitizers; give the exit code: a component that is missing is an error, not a pass."""
    parser = argparse.ArgumentParser(prog="testbed check sanitizers", description=__doc__)
    names = [what.name for what in RUNS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(names)}")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in names]
    if unknown:
        say(f"error: no such sanitizer: {', '.join(unknown)}; there are: {', '.join(names)}")
        return int(ExitCode.USAGE)
    try:
        there = components()
    except CapabilityError as error:
        say(f"error: {error}")
        return int(error.exit_code)
    codes = {}
    for what in RUNS:
        if given.names and what.name not in given.names:
            continue
        missing = [part for part in what.needs if part not in there]
        if missing:
            say(f"error: {what.name} needs: rustup component add --toolchain {TOOLCHAIN} {' '.join(missing)}")
        codes[what.name] = int(ExitCode.CANNOT) if missing else run(what)
    for name, code in codes.items():
        say(f"{'ok  ' if code == 0 else 'FAIL'}  {name}")
    return max(codes.values(), default=0)


if __name__ == "__main__":
    sys.exit(main())
