# SPDX-License-Identifier: MIT
"""How pages of real runs look: nothing is wider than its card, no line is a filled area, and colour is never alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import make_workshop, need
from tests.reports.planted import OTHERS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.workshop import Workshop
    from tests.reports.browser import Browser

pytestmark = pytest.mark.guest

# What sticks out of the nearest ancestor that neither scrolls nor cuts off, by more than a pixel.
WIDER = """
    const found = [];
    for (const card of document.querySelectorAll("#case .card, #case .case-head")) {
        const edge = card.getBoundingClientRect().right + 1;
        for (const element of card.querySelectorAll("*")) {
            let at = element.parentElement, scrolls = false;
            while (at !== card.parentElement) {
                scrolls = scrolls || getComputedStyle(at).overflowX !== "visible";
                at = at.parentElement;
            }
            if (!scrolls && element.getBoundingClientRect().right > edge) found.push(element.outerHTML.slice(0, 90));
        }
    }
    return found;
"""
# What is in a picture, and yet beyond its edge.
BEYOND = """
    return [...document.querySelectorAll("#part-timeline svg, .ladder svg")].flatMap((picture) => {
        const edge = picture.getBoundingClientRect();
        return [...picture.querySelectorAll("text")].filter((text) => {
            const box = text.getBoundingClientRect();
            return box.left < edge.left - 1 || box.right > edge.right + 1;
        }).map((text) => text.textContent);
    });
"""


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Give the folder of a user whose suite has run, every case twice: four nodes, a guest that died, an xfail."""
    need("timetravel")
    workshop = make_workshop(tmp_path_factory.mktemp("others"))
    workshop.suite(OTHERS)
    done = workshop.testbed("run", "mini", "--run-dir", str(workshop.run_dir), "-n", "1")
    assert done.returncode == 6, done.stdout + done.stderr
    return workshop


@pytest.fixture(scope="session")
def other_page(others: Workshop) -> Path:
    file = others.folder / "page.html"
    done = others.testbed("report", str(others.run_dir), "--html", str(file))
    assert done.returncode == 0, done.stderr
    return file


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("case", ["test_passes", "test_fails", "test_transfer", "test_panics", "test_differs"])
def test_nothing_is_wider_than_its_card(browser: Browser, page: Path, case: str, width: int) -> None:
    browser.open(page, case, width=width)
    assert browser.js(WIDER) == []
    assert browser.js(BEYOND) == []
    browser.js("document.querySelector('[data-view=\"table\"]')?.click()")
    assert browser.js(WIDER) == []


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("case", ["test_four", "test_dies"])
def test_neither_four_nodes_nor_a_death_are_wider(browser: Browser, other_page: Path, case: str, width: int) -> None:
    browser.open(other_page, case, width=width)
    assert browser.js(WIDER) == []
    assert browser.js(BEYOND) == []


def test_the_check_finds_what_sticks_out(browser: Browser, page: Path) -> None:
    browser.open(page, "test_passes")
    browser.js("document.querySelector('#case .card p, #case .card h3').style.width = '3000px'")
    assert len(browser.js(WIDER)) >= 1


def test_packet_table_fits_where_packets_are_left_out(browser: Browser, page: Path) -> None:
    browser.open(page, "test_transfer")
    browser.one('[data-view="table"]').click()
    assert "more after the first 60" in browser.text(".packets td.gap")
    assert browser.js("return getComputedStyle(document.querySelector('.packets td.gap')).whiteSpace") == "normal"
    sizes = "const box = document.querySelector('.packets').parentElement; return [box.scrollWidth, box.clientWidth]"
    whole, seen = browser.js(sizes)
    assert whole <= seen


def test_lines_of_plots_are_lines(browser: Browser, page: Path) -> None:
    browser.open(page, "test_transfer")
    filled = browser.js("""
        return [...document.querySelectorAll(".plot path")].filter((path) => !path.closest("clipPath")
            && !path.classList.contains("p-again") && getComputedStyle(path).fill !== "none")
            .map((path) => path.getAttribute("class"));
    """)
    assert filled == []
    assert len(browser.all(".plot .p-sub")) > 50


def test_marks_of_a_plot_differ_without_colour(browser: Browser, page: Path) -> None:
    """Each mark of the legend is another shape, as on the plot: a SACK has ends, what was sent again a rhombus."""
    browser.open(page, "test_transfer")
    shapes = browser.js("""
        const flow = [...document.querySelectorAll(".flow")].find((found) => found.textContent.startsWith("TCP"));
        return [...flow.querySelectorAll(".legend path")].map((path) => {
            const style = getComputedStyle(path);
            return [path.getAttribute("d"), style.strokeDasharray, style.strokeWidth].join();
        });
    """)
    assert len(set(shapes)) == len(shapes) == 5
    for mark in browser.js(
        "return [...document.querySelectorAll('.plot .p-sack')].map((path) => path.getAttribute('d'))"
    ):
        assert mark.count("h6") == 2


def test_labels_of_the_ladder_end_at_the_next_lifeline(browser: Browser, other_page: Path) -> None:
    browser.open(other_page, "test_four")
    assert [head.text for head in browser.all(".heads text")] == ["h1", "r1", "r2", "h2"]
    over = browser.js("""
        const lives = [...document.querySelectorAll(".life")].map((life) => life.getBoundingClientRect().left);
        const gap = lives[1] - lives[0];
        return [...document.querySelectorAll(".hop > text")].filter((text) => text.getComputedTextLength() > gap - 4)
            .map((text) => text.textContent);
    """)
    assert over == []
    assert len(browser.all(".hop")) > 50


def test_a_guest_that_died_is_told_by_its_cause(browser: Browser, other_page: Path, others: Workshop) -> None:
    browser.open(other_page, "test_dies")
    assert browser.text(".reason").startswith(
        "the guest died (killed by SIGABRT): Kernel panic - not syncing: kernel: panic_on_warn set ...; python3["
    )
    told = browser.text("#assertion")
    assert ">       h1.run([" in told
    assert "testbed/backends" not in told
    assert "Kernel panic" in browser.text("#part-kernel")
    record = others.record("dies")
    assert not list(record.glob("captures/*")), "a guest that died hands no capture out"
    assert "never ended" in browser.text("#part-processes")
    assert not browser.all("#part-packets")
    assert browser.errors() == []


def test_packets_of_a_guest_that_died_say_so(others: Workshop) -> None:
    done = others.testbed("packets", str(others.run_dir), "test_dies")
    assert done.returncode == 4
    assert "hint: its guest ended before it gave its captures out; see " in done.stderr
    assert "console.log" in done.stderr


def test_a_guest_that_dies_at_its_start_is_told_in_a_few_lines(browser: Browser, others: Workshop) -> None:
    kernel = others.folder / "dead" / "linux"
    kernel.parent.mkdir()
    kernel.write_text("#!/bin/sh\necho 'Kernel panic - not syncing: VFS: Unable to mount root fs'\nkill -ABRT $$\n")
    kernel.chmod(0o755)
    run_dir, summary = others.folder / "died", others.folder / "summary.md"
    words = ["--libos", str(kernel.parent), "-n", "1", "--run-dir", str(run_dir), "--summary", str(summary)]
    done = others.testbed("run", "suites/mini/test_it.py::test_dies", *words)
    assert done.returncode == 6
    cause = "the guest died (killed by SIGABRT): Kernel panic - not syncing: VFS: Unable to mount root fs; its kernel"
    assert len(done.stdout.splitlines()) < 25, done.stdout
    for text in (done.stdout, summary.read_text()):
        assert cause in text
        assert "testbed/backends/" not in text
    browser.open(run_dir / "report.html", "test_dies")
    assert browser.text(".reason").startswith(cause)
    assert browser.text("#assertion").startswith(f"GuestCrashed: {cause}")
    assert "There is no record" in browser.text("#case") or browser.all("#part-kernel")
    assert browser.errors() == []
