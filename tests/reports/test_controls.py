# SPDX-License-Identifier: MIT
"""The controls of a page, driven: filters, orders, overview, jump bar, copying, keys; pages of empty and other runs."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from testbed.reports.html import write
from testbed.verdict import Verdict
from tests.reports.made_up import case, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.workshop import Workshop
    from tests.reports.browser import Browser

pytestmark = pytest.mark.guest


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """Give the page of a made-up run of two suites and two LibOSes."""
    cases = [
        case(test="test_slow", wall_s=9.0, virtual_s=1.0, libos="catnap"),
        case(test="test_long", wall_s=0.1, virtual_s=50.0, libos="catnip"),
        case(Verdict.XFAILED, suite="stack", test="test_gap", reason="no window probes", libos="catnip"),
    ]
    run(*cases, wall_s=12.0).save(tmp_path)
    return write(tmp_path)


def test_suite_filter_and_the_buttons_of_the_suites(browser: Browser, made_up: Path) -> None:
    browser.open(made_up)
    browser.one('#suite option[value="stack"]').click()
    assert browser.shown() == ["test_gap"]
    browser.one('.suites button[data-suite="mptcp"]').click()
    assert browser.one("#suite").get_attribute("value") == "mptcp"
    assert browser.shown() == ["test_slow", "test_long"]
    assert browser.focused() == "list"
    browser.one('#suite option[value=""]').click()
    assert len(browser.shown()) == 3


def test_order_by_wall_and_by_virtual_time(browser: Browser, made_up: Path) -> None:
    browser.open(made_up)
    browser.one('#order option[value="wall"]').click()
    assert browser.shown() == ["test_slow", "test_gap", "test_long"]
    browser.one('#order option[value="virtual"]').click()
    assert browser.shown() == ["test_long", "test_gap", "test_slow"]
    browser.one('#order option[value="run"]').click()
    assert browser.shown() == ["test_slow", "test_long", "test_gap"]


def test_liboses_expected_failures_and_ratios_are_in_the_overview(browser: Browser, made_up: Path) -> None:
    browser.open(made_up)
    words = [" ".join(row.text.split()) for row in browser.all("#libos tbody tr")]
    times = "\N{MULTIPLICATION SIGN}"
    assert words == [
        f"catnap 1 ✓ 1 passed 1 s 9 s 0.111 {times}",
        f"catnip 2 ≈ 1 xfailed ✓ 1 passed 54 s 600 ms 90 {times}",
    ]
    assert [" ".join(row.text.split()) for row in browser.all("#expected tbody tr")] == ["catnip 1 no window probes"]
    assert [row.text for row in browser.all(".suites thead th:last-child")] == ["Ratio", "Ratio"]
    assert "Ratio" in browser.text(".facts")


def test_real_time_is_not_called_virtual(browser: Browser, tmp_path: Path) -> None:
    run(case(Verdict.FAILED, folder=None), backend="netns").save(tmp_path)
    browser.open(write(tmp_path))
    page = browser.text("#overview") + browser.text("#left")
    assert "Network time" in page
    assert "Virtual" not in page
    assert "virtual" not in page
    assert "Ratio" not in page


def test_a_record_that_cannot_be_replayed_says_what_can_be_done(
    browser: Browser, planted: Workshop, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(planted.run_dir, folder)
    document = json.loads((folder / "run.json").read_text())
    document |= {"backend": "netns", "options": ["--no-captures"]}
    (folder / "run.json").write_text(json.dumps(document))
    browser.open(write(folder), "test_passes")
    line = "testbed run suites/mini/test_it.py::test_passes --seed 1 --repeat 2 --backend netns -- --no-captures"
    assert browser.text(".command code") == line
    document["command"] = ["testbed", "exec", "--scenario", "pair", "--", "ping", "-c1", "10.0.1.2"]
    document["cases"][0] |= {"suite": "exec", "nodeid": "exec::ping"}
    (folder / "run.json").write_text(json.dumps(document))
    browser.open(write(folder), "test_passes")
    assert browser.text(".command code") == "testbed exec --scenario pair -- ping -c1 10.0.1.2"


def test_overview_button_leads_back_and_on_a_small_screen_to_all_of_it(browser: Browser, page: Path) -> None:
    browser.open(page, "test_fails")
    browser.one("#overview-button").click()
    browser.wait("return document.getElementById('case').hidden")
    assert browser.one("#overview").is_displayed()
    browser.open(page, width=360, height=740)
    environment = "return [...document.querySelectorAll('#overview .card h2')].find((head) => head.textContent === "
    environment += "'Environment').offsetParent !== null"
    assert not browser.js(environment)
    browser.one("#overview-button").click()
    assert browser.js(environment)
    browser.one("#overview-button").click()
    assert not browser.js(environment)


def test_environment_says_what_was_run_where(browser: Browser, page: Path, planted: Workshop) -> None:
    browser.open(page)
    pairs = browser.js("""
        const card = [...document.querySelectorAll("#overview .card")]
            .find((found) => found.querySelector("h2").textContent === "Environment");
        return [...card.querySelectorAll("dt")].map((name) => [name.textContent, name.nextElementSibling.textContent]);
    """)
    found = dict(pairs)
    document = planted.document()
    assert found["command"] == " ".join(document["command"])
    assert found["host kernel"] == document["environment"]["host_kernel"]
    assert found["workers"] == "1"
    assert document["environment"]["artifacts"].items() <= found.items()


def test_jump_bar_leads_to_the_parts(browser: Browser, page: Path) -> None:
    browser.open(page, "test_fails")
    titles = [button.text for button in browser.all(".jump button")]
    assert titles[0] == "Failure"
    assert titles == browser.js(
        "return [...document.querySelectorAll('#case section')].map((part) => part.dataset.title)"
    )
    browser.all(".jump button")[-1].click()
    tops = "return [document.getElementById('right').scrollTop, document.querySelector('#case section:last-of-type')"
    scrolled, top = browser.js(tops + ".getBoundingClientRect().top]")
    assert scrolled > 0
    assert 0 <= top < 900


def test_copy_takes_the_line(browser: Browser, page: Path) -> None:
    browser.open(page, "test_fails")
    browser.js("window.taken = null; navigator.clipboard.writeText = async (text) => { window.taken = text; }")
    browser.one(".command button").click()
    browser.wait("return document.querySelector('.command button').textContent === 'Copied'")
    assert browser.js("return window.taken") == browser.text(".command code")
    browser.js("navigator.clipboard.writeText = async () => { throw new Error('not allowed'); }")
    browser.one(".command button").click()
    browser.wait("return document.querySelector('.command button').textContent === 'Selected'")
    assert browser.js("return String(getSelection())") == browser.text(".command code")


def test_a_key_leads_into_the_details_and_back(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.press("d")
    assert browser.focused() == "overview"
    browser.press("j", "ENTER")
    browser.wait("return document.getElementById('case').dataset.opened === '0'")
    assert browser.focused() == "row-0"
    browser.press("d")
    assert browser.focused() == "case"
    browser.press("TAB")
    assert browser.js("return document.activeElement.closest('#case') !== null")
    browser.press("ESCAPE")
    browser.wait("return document.getElementById('case').hidden")
    assert browser.focused() == "row-0"


def test_skip_links_keep_the_open_case(browser: Browser, page: Path) -> None:
    browser.open(page, "test_fails")
    for link, place in (("#case", "case"), ("#list", "list")):
        browser.js('document.querySelector(`.skip[href="${arguments[0]}"]`).click()', link)
        assert browser.focused() == place
        assert not browser.js("return document.getElementById('case').hidden")


def test_empty_run_is_a_page_that_says_so(browser: Browser, planted: Workshop) -> None:
    """A run that collected nothing, by the command; and one with no case at all."""
    folder = planted.folder / "empty"
    done = planted.testbed("run", "mini", "--run-dir", str(folder), "--", "-k", "nothing_is_called_so")
    assert done.returncode == 5, done.stdout + done.stderr
    browser.open(write(folder))
    assert browser.shown() == []
    assert re.search(r"This run has no cases\.", browser.text("#left"))
    assert browser.one("#shown-count").text == "0 cases"
    browser.press("j", "k", "d", "t", "/")
    browser.one("#search").send_keys("x")
    assert browser.errors() == []
