# SPDX-License-Identifier: MIT
"""One run of a small suite in real guests, which the tests replay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from testbed.backends.artifacts import find_artifacts
from testbed.cli.main import call
from testbed.errors import CapabilityError
from testbed.paths import package_dir
from tests.determinism.conftest import visible_folder
from tests.rings import lacks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["visible_folder"]

SUITE = """
    import pathlib, os, socket

    SERVER = "import socket; s = socket.create_server(('0.0.0.0', 80)); c = s.accept()[0]; c.recv(9); c.sendall(b'x')"
    CLIENT = "import socket, sys; s = socket.create_connection((sys.argv[1], 80)); s.sendall(b'y'); print(s.recv(9))"
    CHANGES = pathlib.Path(os.environ.get("REPLAY_CHANGES", "/etc/hostname"))

    def test_connects(network):
        h1, h2 = network["h1"], network["h2"]
        server = h2.spawn(["python3", "-c", SERVER])
        h2.wait_listen(80)
        network.sleep(1)
        h1.run(["python3", "-c", CLIENT, h2.address()])
        server.wait()

    def test_fails(network):
        assert network["h1"].run(["echo", "word"]).stdout == "another\\n"

    def test_reads_the_host(network):
        network["h1"].run(["cat", str(CHANGES)])

    def test_waits(network):
        h1, h2 = network["h1"], network["h2"]
        network.sleep_until(1)                                              # 0 to 1 s
        h1.run(["sleep", "1"])                                              # 1 to 2 s
        h1.spawn(["sleep", "1"]).wait()                                     # 2 to 3 s
        h2.spawn(["sh", "-c", "sleep 1; touch /tmp/file"])
        h2.wait_file("/tmp/file")                                           # 3 to 4 s
        sock = h1.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.timeout = 1
        sock.bind(("0.0.0.0", 9))
        try:
            sock.recv(9)                                                    # 4 to 5 s
        except TimeoutError:
            pass
        h1.run(["ip", "neigh", "add", "10.0.1.77", "lladdr", "02:00:00:00:00:77", "dev", "eth0"])
        lost = h1.socket(socket.AF_INET, socket.SOCK_STREAM)
        lost.timeout = 1
        try:
            lost.connect(("10.0.1.77", 9))                                  # 5 to 6 s
        except TimeoutError:
            pass
        if "REPLAY_MARK" in os.environ:
            pathlib.Path(os.environ["REPLAY_MARK"]).write_text(str(network.now()))
"""


@dataclass
class Recorded:
    """The run.

    Args:
        root: The folder with ``suites``.
        run: The run's folder.
    """

    root: Path
    run: Path

    def record(self, name: str) -> Path:
        """Give the file ``record.json`` of a case."""
        return self.run / "cases" / "mine" / f"test_it.{name}" / "1" / "record.json"


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Execute the suite once."""
    try:
        find_artifacts(None, None)
    except CapabilityError as error:
        lacks("timetravel", error)
    root = tmp_path_factory.mktemp("original")
    suite = root / "suites" / "mine"
    suite.mkdir(parents=True)
    (suite / "test_it.py").write_text(textwrap.dedent(SUITE))
    (root / "pytest.ini").write_text("[pytest]\n")
    run = root / "testbed-runs" / "first"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--repeat", "1", "--seed", "3"]
    done = subprocess.run(
        [*words, "--run-dir", str(run), "suites/mine"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(package_dir().parent), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    return Recorded(root, run)


@pytest.fixture
def recorded(original: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Give a copy that a test may spoil, and stand in its folder."""
    root = tmp_path / "copy"
    shutil.copytree(original.root, root, symlinks=True)
    monkeypatch.chdir(root)
    monkeypatch.delenv("TESTBED_RUNS", raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", str(package_dir().parent))
    return Recorded(root, root / "testbed-runs" / "first")


@pytest.fixture
def replay(recorded: Recorded, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Give a function that replays a case, and gives the exit status and all that was said."""

    def run(case: str, *words: str) -> tuple[int, str]:
        capfd.readouterr()
        code = call(["replay", str(recorded.run), case, *words])
        done = capfd.readouterr()
        return code, done.out + done.err

    return run
