# SPDX-License-Identifier: MIT
"""Distributions drawn by their percentiles: read, put on logarithmic axes, and as a page of their own."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from testbed.reports import distributions
from testbed.reports.oracle import in_words as oracle_in_words
from testbed.reports.oracle import oracles
from testbed.reports.percentiles import HEIGHT, LEFT, WIDTH, Series, in_words, plot, table
from testbed.reports.roundtrips import card
from testbed.verdict import Verdict
from tests.reports.made_up import case

if TYPE_CHECKING:
    from pathlib import Path

    from tests.reports.browser import Browser

OURS = Series.of_buckets("ours", [[10_000, 50], [20_000, 40], [40_000, 9], [1_000_000, 1]])
SVG = "{http://www.w3.org/2000/svg}"


def figure(**changes: Any) -> dict[str, Any]:
    """Make a figure up, as ``bench --json`` has it."""
    sides = {
        name: {
            "rounds": 1000,
            "percentiles_us": {"0": us, "50": us, "90": 2 * us, "99": 5 * us, "99.9": 20 * us, "100": 90 * us},
        }
        for name, us in (("ours", 11.0), ("peer", 10.0))
    }
    return {"name": "echo", "what": "64 B <there> & back", "unit": "x", "median": 1.1, "details": [sides], **changes}


def test_a_histogram_gives_its_percentiles() -> None:
    assert OURS.count == 100
    found = {percent: OURS.value_ns(percent) for percent in (0, 50, 50.1, 90, 90.1, 99, 99.1, 100)}
    assert found == {
        0: 10_000,
        50: 10_000,
        50.1: 20_000,
        90: 20_000,
        90.1: 40_000,
        99: 40_000,
        99.1: 1_000_000,
        100: 1_000_000,
    }
    assert table([OURS]) == [("ours", 100, ["10 us", "20 us", "40 us", "1 ms", "1 ms", "1 ms"])]


@pytest.mark.parametrize(
    ("value_ns", "words"),
    [(0, "0 ns"), (999, "999 ns"), (1000, "1 us"), (12_345, "12.3 us"), (123_456, "123 us"), (2.5e9, "2.5 s")],
)
def test_a_time_has_its_unit(value_ns: float, words: str) -> None:
    assert in_words(value_ns) == words


def test_nines_are_equally_far_apart_and_both_axes_are_logarithmic() -> None:
    drawn = ET.fromstring(plot([Series.of_buckets("many", [[1000, 900_000], [1_000_000, 100_000]])], "label"))
    ticks = {str(tick.text): tick for tick in drawn.iter(f"{SVG}text")}
    at = [float(ticks[f"{name} %"].attrib["x"]) for name in ("0", "90", "99", "99.9", "99.99", "99.999")]
    steps = [right - left for left, right in itertools.pairwise(at)]
    assert at[0] == LEFT
    assert max(steps) - min(steps) < 0.3
    rows = [float(ticks[name].attrib["y"]) for name in ("1 us", "10 us", "100 us", "1 ms")]
    assert rows[0] - rows[1] == pytest.approx(rows[1] - rows[2], abs=0.3)
    assert all(
        0 <= float(part.attrib["x"]) <= WIDTH and 0 <= float(part.attrib["y"]) <= HEIGHT for part in ticks.values()
    )


def test_a_name_cannot_be_markup() -> None:
    drawn = plot([Series.of_buckets("<b>&\"'", [[1000, 10]])], "<i>\"&'")
    assert ET.fromstring(drawn).attrib["aria-label"] == "<i>\"&'"
    assert "<b>" not in drawn


def test_one_value_many_points_and_few_rounds_can_be_drawn() -> None:
    many = Series.of_buckets("many", [[1000 + number, 1] for number in range(5000)])
    for series in ([Series.of_buckets("one", [[0, 1]])], [many, OURS], [many] * 6):
        drawn = plot(series, "x")
        ET.fromstring(drawn)
        assert len(drawn) < 40_000
        assert "nan" not in drawn.lower()


def test_the_page_has_each_figure_with_its_peer_beside(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    flat = figure(name="cost", details=[], median=None)
    distributions.write(file, [figure(), flat, figure(name="second")], "Linux <9>, 2 CPUs")
    browser.driver.get(file.as_uri())
    browser.driver.get_log("browser")  # type: ignore[no-untyped-call]
    browser.driver.get(file.as_uri())
    assert [section.get_attribute("id") for section in browser.all("section")] == ["echo", "second"]
    assert browser.text("h1 + p") == "Linux <9>, 2 CPUs"
    assert "64 B <there> & back: 1.1 x" in browser.text("#echo")
    cells = [cell.text for cell in browser.all("#echo tbody tr:first-child td")]
    assert cells == ["11 us", "22 us", "55 us", "220 us", "990 us", "990 us", "1,000"]
    assert [row.text.strip() for row in browser.all("#echo tbody th")] == ["ours", "peer"]
    dashes = browser.js(
        "return [...document.querySelectorAll('#echo .line:not(.key .line)')]"
        ".map((line) => getComputedStyle(line).strokeDasharray)"
    )
    assert [dash == "none" for dash in dashes] == [True, False]  # told apart without colour
    assert browser.errors() == []
    assert not re.search(r"https?://(?!www\.w3\.org/)", file.read_text())


def test_a_page_without_round_trips_says_so(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    few = {"ours": {"rounds": 3, "percentiles_us": {"50": 1.0}}}
    distributions.write(file, [figure(details=[few])], "x")
    assert "None of the figures that were measured has round trips." in file.read_text()


def test_the_oracle_of_a_case_is_the_same_case_on_catnap() -> None:
    names = (
        "test_a[catnap]",
        "test_a[catnip]",
        "test_b[64-catnap-x]",
        "test_b[64-catnip-x]",
        "test_c[catnip]",
        "test_l",
    )
    cases = [case(test=name, libos=next((one for one in ("catnap", "catnip") if one in name), "")) for name in names]
    cases[2].verdict, cases[2].reason = Verdict.FAILED, "no\nbytes"
    assert oracles(cases) == [None, cases[0], None, cases[2], None, None]
    assert oracle_in_words(cases[2]) == {
        "name": "catnap",
        "verdict": "failed",
        "reason": "no",
        "id": "mptcp/test_it.test_b[64-catnap-x]",
    }


def test_a_record_that_is_none_has_no_round_trips(tmp_path: Path) -> None:
    assert card(tmp_path, None) is None
