# SPDX-License-Identifier: MIT
"""Small kernel trees and a cache of their own for the tests of building."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.backends.registry import backend
from testbed.errors import CapabilityError
from testbed.libos.library import host_program
from tests.rings import lacks

if TYPE_CHECKING:
    from pathlib import Path


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of tests that compile a kernel."""
    config.addinivalue_line("markers", "guest: boots guests in virtual time")
    config.addinivalue_line("markers", "netns: needs namespaces of the host kernel")
    config.addinivalue_line("markers", "build: compiles a kernel (minutes, or seconds with a warm cache) or a LibOS")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that compile, unless they are asked for."""
    if "build" in str(config.getoption("markexpr")):
        return
    for item in items:
        if item.get_closest_marker("build") is not None:
            item.add_marker(pytest.mark.skip(reason="compiles a kernel; run with -m build"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty cache folder that testbed uses."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TESTBED_CACHE", str(folder))
    return folder


@pytest.fixture
def kernel_tree(tmp_path: Path) -> Path:
    """Make a folder that has a kernel tree's landmarks."""
    tree = tmp_path / "linux-9.9"
    for name in ("Kconfig", "arch/um/Makefile", "init/main.c", "net/core/dev.c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("one\ntwo\nthree\n")
    (tree / "Makefile").write_text("# top\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\n")
    return tree


@pytest.fixture(scope="module")
def program() -> Path:
    """Give the host program of the LibOSes; skip where no guest can run."""
    try:
        backend("timetravel").capabilities()
    except CapabilityError as error:
        lacks("timetravel", error)
    return host_program()
