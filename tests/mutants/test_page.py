# SPDX-License-Identifier: MIT
"""The manual's table of mutants: what exists, as it is; and how the check keeps it so."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.mutants import page
from tests.mutants.mutant import read_all
from tests.mutants.page import Row
from tests.mutants.trial import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = Row("one", "what", "mptcp", "test_a.test_b", 3), Row("two", "other", "cradle", "test_c.test_d", 4)


def functions(path: Path) -> set[str]:
    """Give the names of the test functions of a file."""
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_page_lists_exactly_the_mutants_that_exist() -> None:
    mutants = read_all()
    rows = page.read()
    assert list(rows) == [mutant.name for mutant in mutants]
    assert [(row.change, row.suite) for row in rows.values()] == [(mutant.change, mutant.suite) for mutant in mutants]
    assert page.PAGE.read_text() == page.render(rows.values())


def test_first_failing_cases_exist() -> None:
    for row in page.read().values():
        module, _, test = row.case.partition(".")
        file = ROOT / "suites" / row.suite.replace("-", "_") / f"{module}.py"
        assert any(test == name or test.startswith(f"{name}-") for name in functions(file)), row


def test_page_is_by_name_and_read_back() -> None:
    text = page.render([TWO, ONE])
    assert text.index("`one`") < text.index("`two`")


def test_update_replaces_what_was_tried_and_drops_what_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    assert page.update({"one": ONE, "two": TWO}, ["one", "two"], path)
    assert page.read(path) == {"one": ONE, "two": TWO}
    three = Row("three", "new", "mptcp", "test_e.test_f", 5)
    assert page.update({"three": three}, ["one", "three"], path)
    assert page.read(path) == {"one": ONE, "three": three}


def test_other_time_alone_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    page.update({"one": ONE}, ["one"], path)
    before = path.read_text()
    assert not page.update({"one": replace(ONE, seconds=99)}, ["one"], path)
    assert path.read_text() == before
