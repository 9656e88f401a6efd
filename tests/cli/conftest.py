# SPDX-License-Identifier: MIT
"""The command line as a user has it: a process of its own, in a folder and with a cache of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Testbed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def testbed(tmp_path: Path) -> Testbed:
    """Give a function that runs ``testbed WORDS...`` without a terminal."""

    def call(
        *words: str, env: dict[str, str] | None = None, stdin: str = "", prefix: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        own = {"TESTBED_CACHE": str(tmp_path / "cache"), "TESTBED_RUNS": str(tmp_path / "runs"), "COLUMNS": "200"}
        return subprocess.run(
            [*prefix, sys.executable, "-m", "testbed", *words],
            cwd=tmp_path,
            env={**os.environ, **own, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return call
