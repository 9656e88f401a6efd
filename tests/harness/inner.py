# SPDX-License-Identifier: MIT
"""Pytest inside pytest, with a fake backend: the class that the fixture ``inner`` gives."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

CONFTEST = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from fake_backend import FakeBackend, RealTimeBackend

def pytest_testbed_backend(config, name):
    return {{"fake": FakeBackend, "fake-real": RealTimeBackend}}.get(name, lambda: None)()
"""


class Inner:
    """A pytest session of its own in a temporary folder, with a suite of the test's making."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.run_dir = pytester.path / "run"
        pytester.makeconftest(CONFTEST)
        pytester.makeini("[pytest]\naddopts = --strict-markers\n")

    def suite(self, text: str, *, name: str = "mini_suite", file: str = "test_it.py", init: str = "") -> Path:
        """Write a suite of one file."""
        folder = self.pytester.path / "suites" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text(init)
        (folder / file).write_text(textwrap.dedent(text))
        return folder

    def run(self, *args: str, process: bool = False, backend: str = "fake") -> pytest.RunResult:
        """Run it into ``self.run_dir``."""
        words = ["--backend", backend, "--run-dir", str(self.run_dir), "-p", "no:cacheprovider", *args]
        if process:
            return self.pytester.runpytest_subprocess(*words)
        return self.pytester.runpytest_inprocess(*words)

    def document(self) -> dict[str, Any]:
        """Read ``run.json``."""
        found: dict[str, Any] = json.loads((self.run_dir / "run.json").read_text())
        return found

    def case(self, name: str = "") -> dict[str, Any]:
        """Give the only case whose name contains ``name``."""
        found: list[dict[str, Any]] = [case for case in self.document()["cases"] if name in case["nodeid"]]
        assert len(found) == 1, found
        return found[0]
