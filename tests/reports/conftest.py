# SPDX-License-Identifier: MIT
"""Fixtures of the reports' tests: those of the harness, a real run with planted outcomes, and a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import make_workshop, need
from tests.harness.conftest import inner
from tests.reports.browser import Browser
from tests.reports.planted import SUITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.workshop import Workshop

__all__ = ["inner"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "guest: needs a built guest kernel")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Give a browser; each test opens its page afresh."""
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Give the folder of a user whose suite has run, every case twice, with all outcomes."""
    need("timetravel")
    workshop = make_workshop(tmp_path_factory.mktemp("planted"))
    workshop.suite(SUITE)
    done = workshop.testbed("run", "mini", "--run-dir", str(workshop.run_dir), "-n", "1")
    assert done.returncode == 6, done.stdout + done.stderr
    return workshop


@pytest.fixture(scope="session")
def page(planted: Workshop) -> Path:
    """Give the page of that run with all packets, written by the command."""
    file = planted.folder / "page.html"
    done = planted.testbed("report", str(planted.run_dir), "--html", str(file))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{file}\n"
    return file
