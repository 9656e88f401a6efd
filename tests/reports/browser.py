# SPDX-License-Identifier: MIT
"""A headless Chromium over pages of runs, and what it says of a page: texts, errors, requests, sizes."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Self

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver.remote.webelement import WebElement

PATIENCE_S = 30
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb")


class Browser:
    """A browser with one page open.

    Args:
        folder: Where it keeps its profile.
    """

    def __init__(self, folder: Path) -> None:
        programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
        if None in programs:
            self._lacks()
        options = webdriver.ChromeOptions()
        options.binary_location = str(programs[0])
        for flag in (*_FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(str(programs[1])))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def open(self, page: Path, case: str = "", *, scheme: str = "light", width: int = 1280, height: int = 900) -> None:
        """Open a page afresh, and of it a case whose id ends so."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        mobile = width < 700
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.driver.get("about:blank")
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # type: ignore[no-untyped-call]
        self.driver.get(page.as_uri())
        self.wait("return document.documentElement.dataset.ready === 'true'")
        self.js("localStorage.clear(); setTheme('auto')")
        if case:
            self.open_case(case)

    def open_case(self, name: str) -> None:
        """Open the case whose id ends so, by its link."""
        (row,) = [row for row in self.all("a.row") if str(row.get_attribute("href")).endswith(name)]
        self.js("arguments[0].click()", row)
        self.wait("return document.getElementById('case').dataset.opened === arguments[0].dataset.index", row)

    def call(self, method: str, **parameters: object) -> Any:
        """Call a method of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(method, parameters)

    def js(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: object) -> None:
        """Wait until JavaScript says true."""
        WebDriverWait(self.driver, PATIENCE_S, poll_frequency=0.02).until(lambda _: self.js(script, *arguments))

    def all(self, selector: str) -> list[WebElement]:
        """Give all elements of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """Give the first element of a CSS selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Give the text of an element, seen or not."""
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def shown(self) -> list[str]:
        """Give the names of the tests in the list that are not filtered away."""
        found: list[str] = self.js(
            "return [...document.querySelectorAll('#list li:not([hidden]) .test')].map((test) => test.textContent)"
        )
        return found

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, where the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(getattr(Keys, key, key))

    def focused(self) -> str:
        """Give the id of the element with the focus."""
        return str(self.js("return document.activeElement.id"))

    def errors(self) -> list[str]:
        """Give what the console had to say since the page was opened."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def requests(self) -> list[str]:
        """Give the addresses that the page asked for since it was opened, its own included."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]  # type: ignore[no-untyped-call]
        return [
            str(event["params"]["request"]["url"]) for event in events if event["method"] == "Network.requestWillBeSent"
        ]

    def _lacks(self) -> None:
        """Skip; but fail in a CI, which would pass on nothing."""
        why = "no chromium with chromedriver (testbed/packages.txt)"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
