# SPDX-License-Identifier: MIT
"""The mutants themselves: whole headers, one hunk each, in files of the kernel's sources, cases that exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.errors import ConfigError
from testbed.libos.linux.patches import touched_files
from tests.mutants.mutant import Mutant, choose, read, read_all
from tests.mutants.trial import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MUTANTS = read_all()
FEWEST = 20  # of issue 3
DIFF = "--- a/net/x.c\n+++ b/net/x.c\n@@ -1 +1 @@\n-a\n+b\n"
HEAD = "Subject: s\nSuite: mptcp\nCases: test_x.py\n"

by_name = pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])


def test_there_are_enough_and_every_suite_has_some() -> None:
    assert len(MUTANTS) >= FEWEST
    suites = {"cradle", "ip6-tunnels", "mptcp", "netlink-socket", "process-manager", "transport"}
    assert {mutant.suite for mutant in MUTANTS} == suites


@by_name
def test_patch_is_ours_and_small(mutant: Mutant) -> None:
    text = mutant.patch.read_text()
    assert text.startswith("SPDX-License-Identifier: GPL-2.0-only\n")
    [file] = touched_files(mutant.patch)
    assert file.endswith(".c"), "a header is compiled into hundreds of objects"
    assert "|" not in mutant.change


@by_name
def test_cases_of_a_mutant_exist(mutant: Mutant) -> None:
    assert [path for path in mutant.paths if not (ROOT / path.partition("::")[0]).is_file()] == []


def test_no_two_mutants_are_the_same() -> None:
    diffs = [mutant.patch.read_text().partition("\n---\n")[2] for mutant in MUTANTS]
    assert len(set(diffs)) == len(diffs)
    assert len({mutant.change for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"Subject: s\nSuite: mptcp\n\n---\n{DIFF}", r"wanted one line each of .*, found Subject, Suite$"),
        (f"{HEAD}Suite: cradle\n\n---\n{DIFF}", r"found Subject, Suite, Cases, Suite$"),
        (f"no header\n---\n{DIFF}", r"found none$"),
        (f"{HEAD}\n---\n{DIFF}@@ -9 +9 @@\n-c\n+d\n", r"one small fault, one hunk; found 2$"),
        (f"{HEAD}\n---\n", r"one hunk; found 0$"),
    ],
)
def test_header_that_is_not_whole_is_refused(tmp_path: Path, text: str, message: str) -> None:
    patch = tmp_path / "x.patch"
    patch.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read(patch)


def test_folder_without_mutants_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no mutants: no \*\.patch in "):
        read_all(tmp_path)


def test_mutants_are_chosen_by_name_and_by_part() -> None:
    chosen = [mutant.name for mutant in choose(MUTANTS, ["tcp-rto-backoff"], ["sctp", "dccp-back"])]
    assert chosen == [
        "dccp-backoff",
        *sorted(mutant.name for mutant in MUTANTS if "sctp" in mutant.name),
        "tcp-rto-backoff",
    ]
    assert choose(MUTANTS, [], []) == MUTANTS


@pytest.mark.parametrize(
    ("names", "parts", "message"),
    [
        (["tcp-rto-backof"], [], r"^no mutant 'tcp-rto-backof' \(did you mean 'tcp-rto-backoff'"),
        ([], ["xyz"], r"^no mutant has 'xyz' in its name "),
    ],
)
def test_name_that_fits_none_is_refused(names: list[str], parts: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose(MUTANTS, names, parts)
