# SPDX-License-Identifier: MIT
"""What the layers above a device cost, in instructions: a number that no other load of the machine changes."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from testbed import paths
from testbed.errors import CapabilityError, TestbedError
from testbed.libos import cargo

if TYPE_CHECKING:
    from pathlib import Path

_EXAMPLE = "rounds"
_ROUNDS = (1000, 2000)


def round_instructions() -> float:
    """Count a push and a pop through a pipe within one engine, both waited for, and the free: instructions a round.

    Raises:
        CapabilityError: There is no valgrind, or no cargo.
    """
    if shutil.which("valgrind") is None:
        raise CapabilityError("counting instructions needs valgrind (apt-get install -y valgrind)")
    cargo.compiler(_EXAMPLE, cargo.oldest(paths.package_dir() / "libos" / "crates" / "abi"))
    program = _program()
    few, many = (_instructions(program, rounds) for rounds in _ROUNDS)
    return (many - few) / (_ROUNDS[1] - _ROUNDS[0])


def _program() -> Path:
    folder = paths.cache_dir() / "bench" / _EXAMPLE
    folder.mkdir(parents=True, exist_ok=True)
    source = paths.package_dir() / "libos"
    words = ("--package", "abi", "--example", _EXAMPLE)
    built = cargo.build(folder, source, what=_EXAMPLE, name="libos", log_kept=folder, flags=(), words=words)
    return built / "examples" / _EXAMPLE


def _instructions(program: Path, rounds: int) -> int:
    argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), str(rounds)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None:
        raise TestbedError(f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return int(found[1])
