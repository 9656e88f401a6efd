# SPDX-License-Identifier: MIT
"""Artifacts, programs and one reference record for all tests of determinism."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.backends.artifacts import Artifacts, find_artifacts
from testbed.errors import CapabilityError
from testbed.paths import package_dir
from tests.determinism import reference
from tests.rings import lacks

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path(__file__).parent / "programs"
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
MASKED = ("/tmp", "/run", "/var/tmp", "/var/log", "/dev/shm")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "guest: boots guests in virtual time")


@pytest.fixture(scope="session")
def artifacts() -> Artifacts:
    """Give the kernel and the agent; what is missing in the cache is built, once. A build that fails is no skip."""
    try:
        return find_artifacts(None, None)
    except CapabilityError as error:
        lacks("timetravel", error)


@pytest.fixture(scope="session", autouse=True)
def chosen(artifacts: Artifacts) -> Iterator[None]:
    """Let every process of these tests boot the same kernel and agent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTBED_LINUX", str(artifacts.kernel))
        patch.setenv("TESTBED_AGENT", str(artifacts.agent))
        yield


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the C programs; give the folder of their binaries."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler (gcc)")
    folder = tmp_path_factory.mktemp("programs")
    for source in sorted(PROGRAMS.glob("*.c")):
        subprocess.run([compiler, *FLAGS, "-o", str(folder / source.stem), source.name], cwd=PROGRAMS, check=True)
    return folder


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the record of the reference case, which all others must equal."""
    folder = tmp_path_factory.mktemp("reference") / "record"
    reference.execute(folder)
    return folder


@pytest.fixture
def public_artifacts(artifacts: Artifacts) -> Iterator[dict[str, str]]:
    """Give variables that name copies of the artifacts which every user of the host can read."""
    folder = Path(tempfile.mkdtemp(prefix="testbed-public-"))
    try:
        folder.chmod(0o755)
        shutil.copy(artifacts.kernel, folder / "linux")
        agent = artifacts.agent / "agent" if artifacts.agent.is_dir() else artifacts.agent
        shutil.copy(agent, folder / "agent")
        for file in folder.iterdir():
            file.chmod(0o755)
        yield {"TESTBED_LINUX": str(folder / "linux"), "TESTBED_AGENT": str(folder / "agent")}
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def visible_folder() -> Iterator[Path]:
    """Give a folder of the host that a guest sees at the same path: not below a folder that starts afresh there."""
    for base in (package_dir().parent, Path.home(), Path("/var/lib"), Path.cwd()):
        if os.access(base, os.W_OK) and not any(base.is_relative_to(masked) for masked in MASKED):
            folder = Path(tempfile.mkdtemp(prefix=".determinism-", dir=base))
            folder.chmod(0o755)
            break
    else:
        pytest.skip("no writable folder of the host is visible in a guest")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
