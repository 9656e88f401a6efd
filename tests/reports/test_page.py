# SPDX-License-Identifier: MIT
"""The page of a real run in a real browser: what a reader sees of each outcome, and what the page never does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import pytest

from benchmarks.pages import multiplied
from testbed.reports.html import write
from tests.reports.planted import HOSTILE, SHOWN

if TYPE_CHECKING:
    from tests.faults.workshop import Workshop
    from tests.reports.browser import Browser

pytestmark = pytest.mark.guest

HOSTILE_TEST = f"test_hostile[{HOSTILE}]"
ALL = ["test_passes", "test_fails", "test_transfer", "test_panics", "test_differs", "test_huge", HOSTILE_TEST]
ALL += ["test_skipped"]


def test_overview_tells_of_the_run(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.shown() == ALL
    chips = [re.sub(r"\s+", " ", chip.text) for chip in browser.all(".chip")]
    assert chips == ["‡ 1 crashed", "✗ 2 failed", "≠ 1 non-deterministic", "» 1 skipped", "✓ 3 passed"]
    assert " ".join(browser.one(".hero h2").text.split()) == "‡ crashed 8 cases exit code 6"
    overview = browser.text("#overview")
    assert "6 of 7 cases that were executed more than once have one digest" in overview
    assert "timetravel" in overview


def test_every_verdict_is_a_sign_and_a_word(browser: Browser, page: Path) -> None:
    browser.open(page)
    signs, words = ([part.text for part in browser.all(f"a.row > {name}")] for name in (".sym", ".side > .word"))
    assert signs == ["✓", "✗", "✓", "‡", "≠", "✓", "✗", "»"]
    assert words[:5] == ["passed", "failed", "passed", "crashed", "non-deterministic"]


def test_filters_and_search(browser: Browser, page: Path) -> None:
    browser.open(page)
    failed = browser.one('.chip[data-verdict="failed"]')
    failed.click()
    assert failed.get_attribute("aria-pressed") == "true"
    assert browser.shown() == ["test_fails", HOSTILE_TEST]
    browser.one('.chip[data-verdict="crashed"]').click()
    assert browser.shown() == ["test_fails", "test_panics", HOSTILE_TEST]
    assert browser.one("#shown-count").text == "3 of 8 cases"
    browser.one("#search").send_keys("not CAME")
    assert browser.shown() == ["test_fails"]
    browser.one("#search").send_keys(" nowhere")
    assert browser.shown() == []


def test_order_by_verdict(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.one('#order option[value="bad"]').click()
    worst_first = ["test_panics", "test_fails", HOSTILE_TEST, "test_differs", "test_skipped"]
    assert browser.shown() == [*worst_first, "test_passes", "test_transfer", "test_huge"]


def test_keys(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.press("j", "j", "k", "j")
    assert browser.focused() == "row-1"
    browser.press("ENTER")
    browser.wait("return document.getElementById('case').dataset.opened === '1'")
    browser.press("j")
    browser.wait("return document.getElementById('case').dataset.opened === '2'")
    browser.press("ESCAPE")
    browser.wait("return document.getElementById('case').hidden")
    assert browser.focused() == "row-2"
    browser.press("/")
    assert browser.focused() == "search"
    browser.press("j")
    assert browser.one("#search").get_attribute("value") == "j"
    browser.press("ESCAPE")
    assert browser.focused() != "search"
    browser.press("?")
    assert browser.js("return document.getElementById('help').open")
    browser.press("ESCAPE")
    assert not browser.js("return document.getElementById('help').open")


def test_focus_is_seen(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.press("j")
    assert browser.js("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_colours_follow_the_system_and_the_button(browser: Browser, page: Path, scheme: str, dark: bool) -> None:  # noqa: FBT001
    browser.open(page, scheme=scheme)

    def is_dark() -> bool:
        colour = str(browser.js("return getComputedStyle(document.body).backgroundColor"))
        return sum(map(int, re.findall(r"\d+", colour)[:3])) < 3 * 128

    assert is_dark() is dark
    browser.one("#theme").click()
    assert (browser.one("#theme").text, is_dark()) == ("Theme: dark", True)
    browser.press("t")
    assert (browser.one("#theme").text, is_dark()) == ("Theme: light", False)


def contrast(browser: Browser, selector: str) -> float:
    """Give the contrast of an element's text against the nearest background (WCAG 2.2, 1.4.3)."""
    script = """
        const parts = (text) => text.match(/[\\d.]+/g).map(Number);
        let at = document.querySelector(arguments[0]);
        const ink = parts(getComputedStyle(at).color);
        while (at && (parts(getComputedStyle(at).backgroundColor)[3] ?? 1) === 0) at = at.parentElement;
        return [ink, parts(getComputedStyle(at).backgroundColor)];
    """

    def luminance(colour: list[float]) -> float:
        linear = [
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
            for part in (c / 255 for c in colour[:3])
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    one, two = (luminance(colour) for colour in browser.js(script, selector))
    return (max(one, two) + 0.05) / (min(one, two) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: Browser, page: Path, scheme: str) -> None:
    browser.open(page, scheme=scheme)
    verdicts = ("passed", "failed", "crashed", "non-deterministic", "skipped")
    for selector in [*(f".row.v-{verdict} .word" for verdict in verdicts), ".where", ".time", ".facts dt", ".link"]:
        assert contrast(browser, selector) >= 4.5, selector


def test_failure_shows_the_assertion_in_its_source(browser: Browser, page: Path) -> None:
    browser.open(page, "test_fails")
    assert 'assert received == 4, "not all came back"' in browser.text("#assertion .at")
    assert "AssertionError: not all came back" in browser.text("#assertion")
    assert re.search(r"in suites/mini/test_it\.py:\d+", browser.text("#part-failure"))


def test_replay_line_names_run_and_case(browser: Browser, page: Path, planted: Workshop) -> None:
    browser.open(page, "test_fails")
    assert browser.text(".command code") == f"testbed replay {planted.run_dir} mini/test_it.test_fails"


def test_topology_is_drawn(browser: Browser, page: Path) -> None:
    browser.open(page, "test_transfer")
    assert {node.get_attribute("data-node") for node in browser.all("#part-topology [data-node]")} == {
        "h1",
        "h2",
        "r1",
        "r2",
    }
    assert browser.js("return document.querySelector('.tb-wire').getBoundingClientRect().width") > 20


def test_packets_are_a_ladder_and_a_table(browser: Browser, page: Path) -> None:
    browser.open(page, "test_passes")
    heads = [head.text for head in browser.all(".heads text")]
    assert heads == ["h1", "h2"]
    hops = browser.js("return [...document.querySelectorAll('.hop')].map((hop) => hop.textContent)")
    echo = [hop for hop in hops if "echo-request" in hop]
    assert len(echo) == 3
    assert re.search(r"h1 → h2 \(h1-h2\)\nsent \S+ s, arrived \S+ s: 10 ms under way", echo[0])
    browser.one('[data-view="table"]').click()
    browser.one('#part-packets input[type="search"]').send_keys("echo-reply")
    rows = browser.all("tr.packet")
    assert len(rows) == 3
    assert "h2 → h1" in rows[0].text
    assert "10 ms" in rows[0].text
    rows[0].click()
    assert "echo-reply" in browser.text("tr.more")
    assert "0000  02 00 00" in browser.text("tr.more pre")


def test_lost_packets_say_so(browser: Browser, page: Path) -> None:
    browser.open(page, "test_fails")
    lost = browser.js("return [...document.querySelectorAll('.hop.lost')].map((hop) => hop.textContent)")
    assert lost
    assert all("never arrived" in text and "✕ lost" in text for text in lost)
    assert "bytes from" in browser.text("#part-processes") or "received" in browser.text("#part-processes")


def test_flows_of_tcp_and_mptcp_are_plotted(browser: Browser, page: Path) -> None:
    browser.open(page, "test_transfer")
    titles = [title.text for title in browser.all(".flow strong")]
    assert titles[0].startswith("MPTCP 10.0.")
    assert sum(title.startswith("TCP ") for title in titles) >= 3
    first = browser.text(".flow")
    assert "2 subflows" in first
    assert len(browser.all(".flow:first-of-type .p-sub")) > 50
    assert browser.all(".p-again"), "a link that loses one in a hundred makes TCP send again"
    before = browser.js("return document.querySelector('.flow .plot').textContent")
    browser.js("document.querySelector('.flow button[aria-label=\"Show less time\"]').click()")
    assert browser.js("return document.querySelector('.flow .plot').textContent") != before


def test_what_is_left_out_is_counted(browser: Browser, page: Path, planted: Workshop) -> None:
    browser.open(page, "test_transfer")
    text = browser.text("#part-packets p.left-out")
    found = re.match(r"([\d,]+) more after the first 60: ", text)
    assert found is not None
    total = int(browser.text("#part-packets h3").partition("(")[2].strip(")").replace(",", ""))
    assert int(found[1].replace(",", "")) == total - 80
    links = [str(link.get_attribute("href")) for link in browser.all("#part-packets p.left-out a")]
    assert links[0].startswith((planted.run_dir / "cases/mini").as_uri())


def test_links_lead_to_files_that_are_there(browser: Browser, page: Path) -> None:
    browser.open(page, "test_passes")
    links = [str(link.get_attribute("href")) for link in browser.all("#case a")]
    assert sum(link.endswith(".pcapng") for link in links) == 2
    assert [link for link in links if not Path(unquote(urlsplit(link).path)).exists()] == []


def test_processes_have_output_and_times(browser: Browser, page: Path) -> None:
    browser.open(page, "test_passes")
    summary = browser.text("#process-0 summary")
    assert re.search(r"h1ping -c3 10\.0\.1\.2✓ exit 0\d\.\d{6} \S 2\.\d{6} s", summary)
    browser.one("#process-0 summary").click()
    browser.wait("return document.querySelector('#process-0 pre') !== null")
    assert "3 packets transmitted, 3 received" in browser.text("#process-0 pre")
    assert len(browser.all(".timeline .lane")) == 1


def test_huge_output_is_bounded(browser: Browser, page: Path) -> None:
    browser.open(page, "test_huge")
    browser.one("#process-0 summary").click()
    browser.wait("return document.querySelector('#process-0 pre') !== null")
    text = browser.text("#process-0 pre")
    assert len(text) < 4000
    assert re.search(r"\[… 3\.81 MiB more in \S+stdout …\]", text)
    assert page.stat().st_size < 2_000_000


def test_divergence_is_side_by_side(browser: Browser, page: Path) -> None:
    browser.open(page, "test_differs")
    text = browser.text("#part-divergence")
    assert "execution 1" in text
    assert "execution 2" in text
    assert "capture h1-h2.h1: packet" in text
    assert [cell for cell in browser.all(".differs td:first-child") if cell.text == "ICMP.chksum"]
    left, right = (
        browser.js("return document.querySelectorAll('.twins pre')[arguments[0]].textContent", n) for n in (0, 1)
    )
    assert left != right
    assert len(browser.all(".twins mark")) > 4


def test_crash_shows_what_the_kernel_said(browser: Browser, page: Path) -> None:
    browser.open(page, "test_panics")
    assert "taint" in browser.text("#part-kernel")
    first = browser.js("return document.querySelector('#case section').id")
    assert first == "part-kernel"


def test_skipped_case_says_why(browser: Browser, page: Path) -> None:
    browser.open(page, "test_skipped")
    assert browser.text(".reason") == "no such hardware"
    assert "There is no record" in browser.text("#case")


def test_hostile_output_is_text(browser: Browser, page: Path) -> None:
    cases = json.loads((page.parent / "run" / "run.json").read_text())["cases"]
    (name,) = [case["case"] for case in cases if "hostile" in case["nodeid"]]
    browser.open(page, quote(name))
    assert HOSTILE in browser.text("#case h2")
    for process in range(2):
        browser.js("document.getElementById('process-' + arguments[0]).open = true", process)
    browser.wait("return document.querySelector('#process-0 pre') !== null")
    assert browser.text("#process-0 pre").rstrip("\n") == SHOWN
    browser.one('[data-view="table"]').click()
    browser.one('#part-packets input[type="search"]').send_keys("udp")
    (row,) = [row for row in browser.all("tr.packet") if "discard" in row.text]
    row.click()
    assert "onerror" in browser.text("tr.more")
    assert browser.all("img") == []
    assert browser.js("return document.title") == "crashed: run \u2013 testbed"
    assert browser.errors() == []


@pytest.mark.parametrize("case", ["", "test_fails", "test_transfer", "test_differs", "test_panics", "test_huge"])
def test_no_request_and_no_error(browser: Browser, page: Path, case: str) -> None:
    browser.open(page, case)
    assert browser.errors() == []
    assert [url for url in browser.requests() if url.partition("#")[0] != page.as_uri()] == []


def test_policy_forbids_what_the_page_does_not_need(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.js("""
        const found = document.createElement("script");
        found.textContent = 'document.title = "owned"';
        document.body.append(found);
    """)
    browser.js("new Image().src = 'http://127.0.0.1:9/x.png'")
    browser.wait("return document.title.startsWith('crashed')")
    said = browser.errors()
    assert any("script-src" in line for line in said), said
    assert any("img-src" in line or "default-src" in line for line in said), said


@pytest.mark.parametrize("case", ["", "test_fails", "test_transfer", "test_differs"])
def test_small_screens_need_no_sideways_scrolling(browser: Browser, page: Path, case: str) -> None:
    browser.open(page, case, width=360, height=740)
    assert browser.js("return document.documentElement.scrollWidth") <= 360
    if case:
        assert browser.one("#back").is_displayed()
        browser.one("#back").click()
        browser.wait("return document.getElementById('case').hidden")
    assert browser.one("#row-0").is_displayed()


def test_everything_that_is_pressed_has_a_name(browser: Browser, page: Path) -> None:
    browser.open(page, "test_transfer")
    nameless = browser.js(
        "return [...document.querySelectorAll('button, input, select, svg[role=img]')].filter((found) => "
        "!(found.textContent.trim() || found.getAttribute('aria-label') || found.closest('label')))"
        ".map((found) => found.outerHTML.slice(0, 80))"
    )
    assert nameless == []


def test_address_names_the_case(browser: Browser, page: Path) -> None:
    browser.open(page, "test_fails")
    address = str(browser.js("return location.href"))
    browser.driver.get("about:blank")
    browser.driver.get(address)
    browser.wait("return document.getElementById('case').dataset.opened === '1'")
    assert "test_fails" in browser.text("#case h2")


@pytest.fixture(scope="session")
def many(planted: Workshop) -> Path:
    """Give the page of a run of 2,000 cases, made by multiplying the real one."""
    return write(multiplied(planted.run_dir, planted.folder / "many", 2_000), every_packet=False)


def test_two_thousand_cases_can_be_searched(browser: Browser, many: Path) -> None:
    """How quickly the page opens is the figure ``report-open`` of ``testbed bench``."""
    browser.open(many)
    assert browser.one("#shown-count").text == "2,000 cases"
    browser.wait("return performance.getEntriesByName('ready').length === 1")
    browser.one("#search").send_keys("transfer 17")
    names = browser.shown()
    assert names
    assert all("test_transfer" in name and "17" in name for name in names)
    browser.press("ENTER", "ENTER")
    browser.wait("return document.getElementById('case').dataset.opened !== undefined")
    assert names[0] in browser.text("#case h2")
    assert browser.errors() == []


def test_page_of_a_run_says_how_to_get_the_packets(browser: Browser, many: Path) -> None:
    browser.open(many, "test_it.test_transfer-2")
    assert f"testbed report {many.parent}" in browser.text("#part-packets")
    assert "They are not in this page" in browser.text("#part-packets")


def test_names_of_strangers_do_nothing(browser: Browser, planted: Workshop, tmp_path: Path) -> None:
    evil = f"suites/x.py::test[{HOSTILE}\u202e\x1b[31m\u2028\n]"
    folder = multiplied(planted.run_dir, tmp_path / "evil", 8)
    document = json.loads((folder / "run.json").read_text())
    for case in document["cases"]:
        case |= {"nodeid": evil, "suite": HOSTILE, "case": evil, "reason": evil, "difference": evil}
    document |= {"problems": [evil], "command": [evil], "environment": {evil: evil}}
    (folder / "run.json").write_text(json.dumps(document))
    browser.open(write(folder))
    for row in range(8):
        browser.js("location.hash = document.getElementById('row-' + arguments[0]).getAttribute('href')", row)
    browser.wait("return !document.getElementById('case').hidden")
    assert HOSTILE in browser.text("#case h2")
    assert "\\u202e\\x1b[31m\\u2028" in browser.text("#case h2")
    assert browser.all("img") == []
    assert "owned" not in str(browser.js("return document.title"))
    assert browser.errors() == []
