# SPDX-License-Identifier: MIT
"""How quickly the page of a large run opens in a browser, and what it costs a run to leave one."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from testbed.errors import CapabilityError, ExitCode, TestbedError
from testbed.harness.records import CASES, load_run
from testbed.reports import html

OPENED_CASES = 2_000
ENDED_CASES = 900
PATIENCE_S = 60
_REAL_CASES = 10

_SUITE = """
import pytest


@pytest.mark.scenario("pair", delay_ms=10)
@pytest.mark.parametrize("number", range({count}))
def test_ping(network, number):
    answer = network["h1"].run(["ping", "-c3", network["h2"].address()])
    assert number % 5 or "4 received" in answer.stdout
"""


def multiplied(run: Path, folder: Path, count: int) -> Path:
    """Make a run of many cases out of a real one: each has the records of a real case, and a name of its own.

    Args:
        run: The real run's folder.
        folder: The new run's folder; made here.
        count: Cases of the new run.

    Returns:
        The new folder.
    """
    record = load_run(run)
    folder.mkdir()
    (folder / CASES).symlink_to(run / CASES)
    real = [case for case in record.cases if case.folder is not None]
    record.cases = [
        dataclasses.replace(
            real[number % len(real)],
            nodeid=f"{real[number % len(real)].nodeid}[{number}]",
            case=f"{real[number % len(real)].case}-{number}",
        )
        for number in range(count)
    ]
    record.save(folder)
    return folder


def open_s() -> float:
    """Measure from the start of the navigation until the list of 2,000 cases is painted and takes keys."""
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as name:
        folder = Path(name)
        page = html.write(multiplied(_real(folder), folder / "many", OPENED_CASES))
        return opened_s(page, folder / "profile")


def end_s() -> float:
    """Measure the page that a run of 900 cases leaves at its end."""
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as name:
        folder = Path(name)
        many = multiplied(_real(folder), folder / "many", ENDED_CASES)
        begin = time.perf_counter()
        html.write(many, every_packet=False)
        return time.perf_counter() - begin


def opened_s(page: Path, profile: Path) -> float:
    """Open a page in Chromium and give the seconds until it is ready, by the browser's own clock.

    Raises:
        CapabilityError: There is no Chromium, or no Selenium to drive it.
    """
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        from selenium.webdriver.support.ui import WebDriverWait
    except ImportError as error:
        raise CapabilityError("driving a browser needs selenium", hint="pip install '.[dev]'") from error
    browser, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if browser is None or driver is None:
        raise CapabilityError("there is no chromium with chromedriver", hint="apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    with webdriver.Chrome(options=options, service=Service(driver)) as chrome:
        chrome.get(page.as_uri())
        ready_ms = WebDriverWait(chrome, PATIENCE_S, poll_frequency=0.05).until(
            lambda _: chrome.execute_script("return performance.getEntriesByName('ready')[0]?.startTime")
        )
    return float(ready_ms) / 1000


def _real(folder: Path) -> Path:
    """Run a small suite: every fifth case fails."""
    file = folder / "test_pages.py"
    file.write_text(_SUITE.format(count=_REAL_CASES))
    run = folder / "run"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-report", "--run-dir", str(run)]
    done = subprocess.run([*argv, str(file)], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != ExitCode.FAILED:
        raise TestbedError(f"the small run ended with exit code {done.returncode}, not 1:\n{done.stdout[-2000:]}")
    return run
