# SPDX-License-Identifier: MIT
"""A small LibOS in C, right or broken in one way: what the suites have to find."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.libos.library import Library
from testbed.paths import package_dir

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCE = Path(__file__).parent / "small.c"
INCLUDE = package_dir() / "libos" / "include"
VARIANTS = ("ERRNO", "WROTE", "BYTE", "ORDER", "HANG", "SPIN", "CRASH", "PORT", "SYMBOL", "TOKEN", "SIZE")


def small(folder: Path, variant: str | None = None, abilities: Iterable[str] = ("tcp", "udp", "threads")) -> Library:
    """Compile the small LibOS into a folder.

    Args:
        folder: Where to.
        variant: What is broken, one of ``VARIANTS``; None is the right one.
        abilities: What it says that it can do.
    """
    name = "small" if variant is None else f"small-{variant.lower()}"
    file = folder / f"lib{name}.so"
    define = [] if variant is None else [f"-DBROKEN_{variant}"]
    argv = ["gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", *define, f"-I{INCLUDE}"]
    subprocess.run([*argv, "-o", str(file), str(SOURCE)], check=True)
    return Library(name=name, file=file, abilities=frozenset(abilities))


def declare(folder: Path, variant: str | None) -> None:
    """Write a ``testbed.toml`` that has a variant of the small LibOS as the flavor ``small``; None is the right one."""
    define = "" if variant is None else f"-DBROKEN_{variant}"
    (folder / "testbed.toml").write_text(
        f'[libos.small]\nabi = "demi"\nsource = "{SOURCE.parent}"\nartifact = "libsmall.so"\n'
        f'build = "gcc -O1 -fPIC -shared {define} -I{INCLUDE} -o libsmall.so small.c"\n'
    )
