# SPDX-License-Identifier: MIT
"""Lengths of former runs, and the forecast from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.harness import durations
from testbed.harness.durations import Durations, about
from tests.reports.made_up import case, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.inner import Inner


def test_what_is_taken_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "durations.json"
    Durations.load(path).take(run(case(test="test_a"), case(test="test_b", executions=0)))
    assert Durations.load(path).known == {"case timetravel mptcp/test_it.test_a": 0.25}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "b"}', "null"])
def test_a_damaged_file_says_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "d").write_text(text)
    assert Durations.load(tmp_path / "d").known == {}


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Durations.load(tmp_path / "file" / "d").take(run(case()))


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "MOST", 2)
    found = Durations.load(tmp_path / "d")
    for name in "abca":
        found.put(name, 1)
    found.save()
    assert list(Durations.load(tmp_path / "d").known) == ["c", "a"]


def test_forecast_counts_executions_and_workers(tmp_path: Path) -> None:
    found = Durations.load(tmp_path / "d")
    cases = [case(test=f"test_{number}") for number in range(10)]
    made = run(*cases, environment={"workers": 2})
    for number in range(5):
        found.put(f"case timetravel mptcp/test_it.test_{number}", 3.0)
    assert found.left_s(made, cases) == pytest.approx(10 * 3.0 * 2 / 2)
    assert found.left_s(made, cases[4:]) is None  # one of six is known
    assert found.left_s(made, cases[:1]) == pytest.approx(6.0)  # one worker is all that one case can use
    assert found.left_s(made, []) is None


def test_one_long_case_bounds_the_forecast(tmp_path: Path) -> None:
    found = Durations.load(tmp_path / "d")
    cases = [case(test="long"), case(test="short")]
    found.put("case timetravel mptcp/test_it.long", 60.0)
    found.put("case timetravel mptcp/test_it.short", 1.0)
    assert found.left_s(run(*cases, environment={"workers": 8}), cases) == pytest.approx(120.0)


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (150, "2 min"), (9000, "2 h")])
def test_about(seconds: float, text: str) -> None:
    assert about(seconds) == text


def test_a_run_leaves_its_lengths_in_the_cache(inner: Inner) -> None:
    inner.suite("def test_ok(network):\n    network['h1'].run(['echo', 'x'])\n")
    inner.run()
    assert list(Durations.load().known) == ["case fake mini-suite/test_it.test_ok"]
