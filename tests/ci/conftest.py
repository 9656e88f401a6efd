# SPDX-License-Identifier: MIT
"""Machines of CIs: a small checkout, ready, and repositories of users beside it."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.doc import workshop

from .runner import ROOT, Job

if TYPE_CHECKING:
    from pathlib import Path

MakeJob = Callable[..., Job]
OF_CI = (".ci", ".github", "templates", "action.yml")


@pytest.fixture(scope="session")
def small_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a checkout with a case or two of some suites, set up already."""
    folder = workshop.make(tmp_path_factory.mktemp("ci") / "checkout")
    for name in OF_CI:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a cache with all that is built here already."""
    return workshop.make_cache(tmp_path_factory.mktemp("ci-cache") / "cache")


@pytest.fixture
def environment(cache: Path, tmp_path: Path) -> dict[str, str]:
    """Give what a job finds in its environment; one CPU, as there is a case or two to run."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME") if name in os.environ}
    return {**kept, "TESTBED_CACHE": str(cache), "TMPDIR": str(tmp_path), "COLUMNS": "200", "LANG": "C.UTF-8"}


@pytest.fixture(autouse=True)
def one_cpu() -> Iterator[None]:
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cpus)})
    yield
    os.sched_setaffinity(0, cpus)


@pytest.fixture
def make_job(small_checkout: Path, environment: dict[str, str], tmp_path: Path) -> MakeJob:
    """Give a function that makes a job for a repository; without one, for testbed's own."""

    def make(repository: Path | None = None) -> Job:
        temporary = tmp_path / "runner"
        temporary.mkdir()
        return Job(small_checkout, repository or small_checkout, temporary, dict(environment))

    return make


@pytest.fixture
def repository(tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that makes a user's repository with one suite, ``mini``, of this text."""

    def make(text: str) -> Path:
        folder = tmp_path / "repository"
        file = folder / "suites" / "mini" / "test_it.py"
        file.parent.mkdir(parents=True)
        (file.parent / "__init__.py").touch()
        file.write_text(textwrap.dedent(text))
        return folder

    return make
