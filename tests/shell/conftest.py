# SPDX-License-Identifier: MIT
"""Shells in this process, on a live network, and as a user has them: a process of its own, with pipes or a terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

import pytest

from testbed import paths
from testbed.backends.registry import backend
from testbed.errors import CapabilityError
from testbed.scenarios.registry import scenario
from testbed.shell import interact
from tests.rings import lacks

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.backends.network import Network

Up = Callable[..., "Network"]
Typed = Callable[..., tuple[str, str]]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def up() -> Iterator[Up]:
    """Give a function that brings a scenario up in a guest."""
    found = backend("timetravel")
    try:
        found.capabilities()
    except CapabilityError as error:
        lacks("timetravel", error)
    with ExitStack() as stack:
        yield lambda name="pair", **params: stack.enter_context(found.up(scenario(name, **params)))


@pytest.fixture
def typed(capfd: pytest.CaptureFixture[str]) -> Typed:
    """Give a function that has a network carry out lines: what came on stdout and on stderr."""

    def call(network: Network, *lines: str, **options: Any) -> tuple[str, str]:
        capfd.readouterr()
        interact(network, script=io.StringIO("".join(f"{line}\n" for line in lines)), **options)
        return capfd.readouterr()

    return call


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give the environment of a user of their own, with the cache of this one."""
    own = {"TESTBED_CACHE": str(paths.cache_dir()), "TESTBED_RUNS": str(tmp_path / "runs"), "COLUMNS": "100"}
    return {**os.environ, **own, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm"}


@pytest.fixture
def command(tmp_path: Path, environment: dict[str, str], up: Up) -> Command:
    """Give a function that runs ``testbed WORDS...`` with text, or a file's bytes, on its stdin."""
    del up  # it has skipped where there are no guests

    def call(*words: str, stdin: str | Path = "") -> subprocess.CompletedProcess[str]:
        file = tmp_path / "stdin"
        file.write_bytes(stdin.encode() if isinstance(stdin, str) else stdin.read_bytes())
        with file.open("rb") as given:
            return _run(words, tmp_path, environment, given)

    return call


def _run(
    words: Sequence[str], folder: Path, environment: dict[str, str], given: IO[bytes]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "testbed", *words],
        cwd=folder,
        env=environment,
        stdin=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
