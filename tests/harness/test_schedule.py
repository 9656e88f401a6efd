# SPDX-License-Identifier: MIT
"""The long cases begin first, and nothing else follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.harness.durations import Durations
from testbed.harness.schedule import longest_first

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.inner import Inner

NAMES = ("a", "b", "c", "d", "e", "f")
NODEIDS = [f"suites/mini/test_it.py::test_{name}" for name in NAMES]
SUITE = "".join(
    f"""
def test_{name}(network):
    with open("begun", "a") as file:
        file.write("{name}")
"""
    for name in NAMES
)


def known(path: Path, **lengths_s: float) -> Durations:
    found = Durations.load(path)
    for name, length_s in lengths_s.items():
        found.put(f"case fake mini/test_it.test_{name}", length_s)
    return found


def test_long_ones_are_first_and_unknown_ones_count_as_the_mean(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    durations = known(tmp_path / "d", b=1.0, d=9.0, e=2.0)
    places = longest_first(pytestconfig, NODEIDS, "fake", durations)
    assert [NAMES[place] for place in places] == ["d", "a", "c", "f", "e", "b"]


@pytest.mark.parametrize("lengths_s", [{}, dict.fromkeys(NAMES, 1.0)])
def test_where_none_is_longer_they_stay_as_collected(
    lengths_s: dict[str, float], pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    durations = known(tmp_path / "d", **lengths_s)
    assert longest_first(pytestconfig, NODEIDS, "fake", durations) == list(range(6))
    assert longest_first(pytestconfig, NODEIDS, "netns", known(tmp_path / "d", f=9.0)) == list(range(6)), "of another"


@pytest.mark.parametrize(
    ("words", "order"),
    [((), "fedcba"), (("--dist", "loadfile"), "abcdef"), (("--maxschedchunk", "1"), "fedcba")],
    ids=["load", "another", "chunk"],
)
def test_workers_get_the_longest_first_and_the_run_lists_all_as_collected(
    words: tuple[str, ...], order: str, inner: Inner
) -> None:
    inner.suite(SUITE, name="mini")
    durations = known(Durations.load().path, **{name: float(place + 1) for place, name in enumerate(NAMES)})
    durations.save()
    inner.run("-n1", "--repeat", "1", *words, process=True).assert_outcomes(passed=6)
    assert (inner.pytester.path / "begun").read_text() == order
    assert [case["case"] for case in inner.document()["cases"]] == [f"test_it.test_{name}" for name in NAMES]
