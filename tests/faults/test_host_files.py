# SPDX-License-Identifier: MIT
"""A program that is root in a node tries hard to change files of the host, and to take the channel; nothing changes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.backends.artifacts import find_artifacts
from testbed.backends.registry import backend
from testbed.paths import package_dir
from testbed.scenarios.registry import scenario
from tests.faults.attacked import attacked
from tests.faults.conftest import need

if TYPE_CHECKING:
    from collections.abc import Iterator


NOBODY = 65534
BACKENDS = [
    pytest.param("timetravel", marks=pytest.mark.guest),
    pytest.param("netns", marks=pytest.mark.netns),
    pytest.param("mininet", marks=pytest.mark.mininet),
]
PARTS = 30


@pytest.fixture(params=["visible", "shared"])
def sentinel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Make files of the user's: where nodes see them anyway, and below a masked folder, shown by ``shares``."""
    with tempfile.TemporaryDirectory(prefix=".testbed-sentinel-", dir=Path.home()) as home:
        folder = Path(home) if request.param == "visible" else tmp_path / "sentinel"
        fill(folder)
        yield folder


def fill(folder: Path) -> None:
    """Make a part for each kind of attack."""
    for part in range(PARTS):
        (folder / str(part) / "folder").mkdir(parents=True)
        for name in ("file", "victim"):
            (folder / str(part) / name).write_text("the host's own")


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """Give all that a change would change: of each path its mode, owner, inode, links, size, times and bytes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        now = path.lstat()
        times = (now.st_mtime_ns, now.st_ctime_ns)
        body = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (now.st_mode, now.st_uid, now.st_ino, now.st_nlink, now.st_size, *times, body)
    return found


def check_tried(said: str) -> None:
    """Check that the attack ran to its end, saw the files, and was kept from PID 1 and from devices."""
    assert 'the sentinel says: "the host\'s own"' in said
    assert said.endswith("all tried\n")
    assert len(re.findall(r"^as it is: ", said, re.MULTILINE)) == 16
    for way in ("ptrace", "memory of PID 1", "hostchan", "descriptors of PID 1"):
        assert re.search(rf"^{way}: refused E", said, re.MULTILINE), way
    assert not re.search(r"^device \w+: done", said, re.MULTILINE)


@pytest.mark.parametrize("name", BACKENDS)
def test_root_in_a_node_changes_no_file_of_the_host(name: str, sentinel: Path) -> None:
    need(name)
    before = state(sentinel)
    said = attacked(name, sentinel)
    assert state(sentinel) == before
    check_tried(said)
    if name != "timetravel":
        done = re.findall(r"^switch (\S+): done", said, re.MULTILINE)
        assert done == [], "switches of the host's whole machine"
        assert re.search(r"^mount_setattr: refused EPERM", said, re.MULTILINE)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize("name", BACKENDS)
def test_node_of_an_ordinary_user_changes_none_of_the_user_s_files(name: str) -> None:
    need(name)
    with tempfile.TemporaryDirectory(prefix="testbed-user-", dir="/var/tmp") as home:
        sentinel = Path(home) / "sentinel"
        fill(sentinel)
        words = as_user(Path(home))
        if subprocess.run([*words, "-c", "import testbed"], check=False, capture_output=True).returncode:
            pytest.skip("this Python is closed to other users")
        before = state(sentinel)
        words += ["-m", "tests.faults.attacked", name, str(sentinel)]
        checkout = package_dir().parent
        done = subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert state(sentinel) == before
        check_tried(done.stdout)


def as_user(home: Path) -> list[str]:
    """Give a folder with copies of the programs to a user without rights; give the words that run Python so."""
    found = find_artifacts(None, None)
    shutil.copy(found.kernel, home / "linux")
    shutil.copy(found.agent / "agent" if found.agent.is_dir() else found.agent, home / "agent")
    (home / "runtime").mkdir()
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    env = [f"PATH={os.environ['PATH']}", f"HOME={home}", f"XDG_RUNTIME_DIR={home}/runtime", "PYTHONDONTWRITEBYTECODE=1"]
    env += [f"TESTBED_LINUX={home}/linux", f"TESTBED_AGENT={home}/agent"]
    return [*user, "env", "-i", *env, sys.executable]


@pytest.mark.guest
def test_programs_of_a_user_may_still_trace_each_other() -> None:
    need("timetravel")
    with backend("timetravel").up(scenario("single")) as network:
        program = (
            "import ctypes, os, sys\n"
            "child = os.fork()\n"
            "if not child: os.read(os.pipe()[0], 1)\n"
            "sys.exit(ctypes.CDLL(None).ptrace(0x4206, child, None, None) != 0 or os.kill(child, 9) or 0)"
        )
        assert network["h1"].run(["/usr/bin/python3", "-I", "-S", "-c", program]).returncode == 0


@pytest.mark.netns
@pytest.mark.skipif(os.geteuid() != 0, reason="the host's own root is what must be held back")
def test_sysctls_of_a_node_s_own_network_stay_writable() -> None:
    need("netns")
    with backend("netns").up(scenario("single")) as network:
        network["h1"].run(["sh", "-c", "echo 7 > /proc/sys/net/ipv4/ip_default_ttl"])
        assert network["h1"].read("/proc/sys/net/ipv4/ip_default_ttl") == b"7\n"
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() != "7\n"
