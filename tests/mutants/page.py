# SPDX-License-Identifier: MIT
"""The manual's page of mutants: written by the check itself, one row per mutant, by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PAGE = Path(__file__).resolve().parents[2] / "doc" / "mutants.md"

_INTRO = """\
# Mutants

Suites are as good as what they catch. Each patch in `tests/mutants/patches` plants one small fault into the default
kernel: a wrong comparison, a forgotten update, a wrong constant. The check builds each of these kernels (one scratch
tree, few objects at a time) and lets those files of a suite that the patch names in `Cases:` run on it, not the whole
suite, until the first case fails. That case must pass on the kernel without the fault, and must have failed by an
assertion, or by waiting in virtual time for what never came. A mutant that survives, does not apply or build, or only
crashes, fails the check.

<!-- not run: compiles a kernel for each mutant, many minutes -->
```sh
testbed check --mutants
testbed check --mutants -k sctp -k netlink
testbed check --mutants tcp-rto-backoff
```

A new mutant is a patch with three lines before its `---`: `Subject:` what is wrong with such a kernel, `Suite:` who has
to find it, `Cases:` the files of that suite that are run. One that survives shows a hole: the suite is made
stronger, never the mutant weaker.

This table is written by the check. The time is that of the build and the cases, on a machine with two cores.

| mutant | what it changes | found by | first failing case | time |
| --- | --- | --- | --- | --- |
"""
_ROW = re.compile(r"^\| `([^`]+)` \| (.+?) \| ([a-z0-9-]+) \| `([^`]+)` \| (\d+) s \|$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One row: the mutant's name, what it changes, the suite, the first case that failed, wall seconds."""

    name: str
    change: str
    suite: str
    case: str
    seconds: int

    @property
    def said(self) -> tuple[str, str, str, str]:
        """Give all but the time, which differs from run to run."""
        return (self.name, self.change, self.suite, self.case)


def read(path: Path = PAGE) -> dict[str, Row]:
    """Read the rows of the page, by name; none where there is no page yet."""
    if not path.is_file():
        return {}
    found = _ROW.findall(path.read_text())
    return {name: Row(name, change, suite, case, int(seconds)) for name, change, suite, case, seconds in found}


def render(rows: Iterable[Row]) -> str:
    """Write the page: rows by name."""
    lines = [
        f"| `{row.name}` | {row.change} | {row.suite} | `{row.case}` | {row.seconds} s |\n"
        for row in sorted(rows, key=lambda row: row.name)
    ]
    return _INTRO + "".join(lines)


def update(found: Mapping[str, Row], names: Iterable[str], path: Path = PAGE) -> bool:
    """Bring the page up to date.

    Args:
        found: Rows of the mutants that were tried.
        names: All mutants that there are; rows of others go.
        path: The page.

    Returns:
        Whether it was written: not where only times differ.
    """
    before = read(path)
    rows = {}
    for name in names:
        old, new = before.get(name), found.get(name)
        kept = old if new is None or (old is not None and old.said == new.said) else new
        if kept is not None:
            rows[name] = kept
    text = render(rows.values())
    if path.is_file() and path.read_text() == text:
        return False
    path.write_text(text)
    return True
