# SPDX-License-Identifier: MIT
"""The page of a run of LibOSes: what the oracle says of each case, and how long its round trips took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.errors import CapabilityError
from testbed.harness.plan import suites
from testbed.libos.library import find_library
from testbed.paths import package_dir
from tests.faults.conftest import make_workshop, need
from tests.rings import lacks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.reports.browser import Browser

pytestmark = pytest.mark.guest

CASES = "test_one_client and sequential and 128-requests and 64B and (catnap or catpowder)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run two cases of tcp-echo, that of the oracle and that of a stack of its own."""
    need("timetravel")
    try:
        find_library("catpowder")
    except CapabilityError as error:
        lacks("catpowder", error)
    workshop = make_workshop(tmp_path_factory.mktemp("libos"))
    suite = suites(package_dir().parent)["tcp-echo"]
    done = workshop.testbed("run", str(suite), "--run-dir", str(workshop.run_dir), "-n", "1", "--", "-k", CASES)
    assert done.returncode == 0, done.stdout + done.stderr
    return workshop.run_dir / "report.html"


def test_the_oracle_comes_first_and_is_beside_the_others(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert [name.partition("[")[2].partition("-")[0] for name in browser.shown()] == ["catnap", "catpowder"]
    browser.open_case("test_one_client-catpowder-sequential-128-requests-64B")
    assert browser.text("#part-oracle p") == "The same case on catnap, which is Linux behind the queue API: ✓passed"
    browser.js("arguments[0].click()", browser.one("#part-oracle a"))
    browser.wait("return document.getElementById('case').dataset.opened === '0'")
    assert browser.all("#part-oracle") == []
    assert browser.errors() == []


def test_round_trips_are_drawn_beside_those_of_the_oracle(browser: Browser, page: Path) -> None:
    browser.open(page, "test_one_client-catpowder-sequential-128-requests-64B")
    names = [head.text.strip() for head in browser.all("#part-latency tbody th")]
    assert names == ["h1: catpowder tcp-echo", "h1: catnap tcp-echo"]
    assert [cells.text for cells in browser.all("#part-latency tbody td:last-child")] == ["128", "128"]
    assert len(browser.all("#part-latency svg.percentiles:not(.key) .line")) == 2
    width = browser.js(
        "return document.querySelector('#part-latency svg.percentiles:not(.key)').getBoundingClientRect().width"
    )
    assert width > 400
    assert "50 / 90 / 99 %" in str(browser.one("#part-latency svg").get_attribute("aria-label"))
    assert browser.errors() == []
