# SPDX-License-Identifier: MIT
"""Mutants: patches that each plant one small fault in the kernel, and say which suite has to find it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import ConfigError, near_misses

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parent / "patches"

_FIELD = re.compile(r"^(Subject|Suite|Cases): (.+)$", re.MULTILINE)
_HUNK = re.compile(r"^@@ ", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Args:
        name: The patch's file name without its suffix.
        change: What is wrong with such a kernel, in a few words.
        suite: The suite that has to find it, by the name that reports use.
        cases: The suite's files (or node ids below its folder) that are tried.
        patch: The patch.
    """

    name: str
    change: str
    suite: str
    cases: tuple[str, ...]
    patch: Path

    @property
    def paths(self) -> list[str]:
        """Give what pytest is to run, below the checkout."""
        return [f"suites/{self.suite.replace('-', '_')}/{case}" for case in self.cases]


def read(patch: Path) -> Mutant:
    """Read the header of a mutant's patch.

    Raises:
        ConfigError: A field is missing or there twice, or the patch has not exactly one hunk.
    """
    head, _, diff = patch.read_text().partition("\n---\n")
    found = _FIELD.findall(head)
    fields = dict(found)
    wanted = ("Subject", "Suite", "Cases")
    if sorted(name for name, _ in found) != sorted(wanted):
        raise ConfigError(
            f"{patch}: wanted one line each of {', '.join(f'{name}: ...' for name in wanted)} before '---', "
            f"found {', '.join(name for name, _ in found) or 'none'}"
        )
    if (hunks := len(_HUNK.findall(diff))) != 1:
        raise ConfigError(f"{patch}: a mutant is one small fault, one hunk; found {hunks}")
    return Mutant(patch.stem, fields["Subject"], fields["Suite"], tuple(fields["Cases"].split()), patch)


def read_all(folder: Path = FOLDER) -> list[Mutant]:
    """Read all mutants of a folder, by name.

    Raises:
        ConfigError: There is none: a check of nothing would pass.
    """
    mutants = [read(patch) for patch in sorted(folder.glob("*.patch"))]
    if not mutants:
        raise ConfigError(f"no mutants: no *.patch in {folder}")
    return mutants


def choose(mutants: Sequence[Mutant], names: Sequence[str], parts: Sequence[str]) -> list[Mutant]:
    """Keep the mutants with one of the names, or with one of the parts in their name; without either, all.

    Raises:
        ConfigError: A name, or a part, fits none; near misses are named.
    """
    known = [mutant.name for mutant in mutants]
    for name in names:
        if name not in known:
            raise ConfigError(f"no mutant {name!r} ({near_misses(name, known)})")
    for part in parts:
        if not any(part in name for name in known):
            raise ConfigError(f"no mutant has {part!r} in its name ({near_misses(part, known)})")
    if not names and not parts:
        return list(mutants)
    return [m for m in mutants if m.name in names or any(part in m.name for part in parts)]
