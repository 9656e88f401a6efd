# SPDX-License-Identifier: MIT
"""A program that is root in a node tries hard to change files of the host, and to take the channel; nothing changes."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.backends.base import BackendOptions
from testbed.backends.registry import backend
from testbed.scenarios.registry import scenario
from tests.faults.conftest import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.backends.network import Network

ATTACK = Path(__file__).with_name("attack.py")
PARTS = 30


@pytest.fixture(params=["visible", "shared"])
def sentinel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Make files of the user's: where nodes see them anyway, and below a masked folder, shown by ``shares``."""
    with tempfile.TemporaryDirectory(prefix=".testbed-sentinel-", dir=Path.home()) as home:
        folder = Path(home) if request.param == "visible" else tmp_path / "sentinel"
        for part in range(PARTS):
            (folder / str(part) / "folder").mkdir(parents=True)
            for name in ("file", "victim"):
                (folder / str(part) / name).write_text("the host's own")
        yield folder


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """Give all that a change would change: of each path its mode, owner, inode, links, size, times and bytes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        now = path.lstat()
        times = (now.st_mtime_ns, now.st_ctime_ns)
        body = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (now.st_mode, now.st_uid, now.st_ino, now.st_nlink, now.st_size, *times, body)
    return found


def attack(network: Network, sentinel: Path) -> str:
    node = network["h1"]
    node.write("/root/attack.py", ATTACK.read_bytes())
    return node.run(["/usr/bin/python3", "-I", "-S", "/root/attack.py", str(sentinel)]).stdout


@pytest.mark.parametrize(
    "name", [pytest.param("timetravel", marks=pytest.mark.guest), pytest.param("netns", marks=pytest.mark.netns)]
)
def test_root_in_a_node_changes_no_file_of_the_host(name: str, sentinel: Path) -> None:
    need(name)
    before = state(sentinel)
    options = BackendOptions(shares=(sentinel,))
    with backend(name).up(scenario("single"), options=options) as network:
        said = attack(network, sentinel)
        # The channel is still the agent's: what was asked is what is answered.
        assert network["h1"].run(["echo", "still in step"]).stdout == "still in step\n"
    assert state(sentinel) == before
    assert 'the sentinel says: "the host\'s own"' in said, "it saw the files"
    assert said.endswith("all tried\n")
    assert len(re.findall(r"^as it is: ", said, re.MULTILINE)) == 16
    for way in ("ptrace", "memory of PID 1", "hostchan", "descriptors of PID 1"):
        assert re.search(rf"^{way}: refused E", said, re.MULTILINE), way
    assert not re.search(r"^device \w+: done", said, re.MULTILINE)
    if name == "netns":
        done = re.findall(r"^switch (\S+): done", said, re.MULTILINE)
        assert done == [], "switches of the host's whole machine"
        assert re.search(r"^mount_setattr: refused EPERM", said, re.MULTILINE)


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
