# SPDX-License-Identifier: MIT
"""What a user of nodes relies on: a view of each node's own, a record of each process, and nothing left behind."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.scenarios.topology import Node as TopologyNode
from testbed.scenarios.topology import Topology

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave
    from testbed.backends.network import Network
    from testbed.backends.node import Node

pair = pytest.mark.scenario("pair", delay_ms=10)
chain = pytest.mark.scenario("chain", n=3)


def many_nodes(*, count: int) -> Topology:
    """Make hosts without any link."""
    return Topology(tuple(TopologyNode(f"h{number}") for number in range(1, count + 1)))


@chain
def test_each_node_has_its_own_network(network: Network) -> None:
    """Interfaces, addresses, names and port numbers of one node are not those of another."""
    for name in ("h1", "r1", "h2"):
        node = network[name]
        assert node.run(["hostname"]).stdout == f"{name}\n"
        found = node.run(["ip", "-o", "-4", "address", "show", "scope", "global"]).stdout.splitlines()
        addresses = [str(interface.address(4)) for interface in node.interfaces]
        assert [line.split()[3].split("/")[0] for line in found] == addresses
        folders = node.run(["find", "/sys/class/net", "-type", "l", "-printf", "%f\n"]).stdout.split()
        assert sorted(folders) == [*(interface.name for interface in node.interfaces), "lo"]


@chain
def test_each_node_has_its_own_files(network: Network) -> None:
    """A resolv.conf, a log and a temporary file written in one node are not seen in the others, nor on the host."""
    paths = ("/etc/resolv.conf", "/var/log/daemon.log", "/tmp/state", "/run/daemon.pid")
    nodes = [network[name] for name in ("h1", "r1", "h2")]
    before = [on_host(path) for path in paths]
    for node in nodes:
        assert node.run(["ls", "-A", "/var/log"]).stdout == ""
    for node in nodes:
        for path in paths:
            node.run(["tee", path], input=f"{node.name}: {path}")
    for node in nodes:
        for path in paths:
            assert node.read(path).decode() == f"{node.name}: {path}"
            assert node.run(["cat", path]).stdout == f"{node.name}: {path}"
        assert node.run(["ls", "-A", "/var/log"]).stdout == "daemon.log\n"
    assert [on_host(path) for path in paths] == before


def on_host(path: str) -> bytes | None:
    """Give what a file of the host has in it; None where there is none."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


@pair
def test_abstract_names_and_ports_belong_to_a_node(behave: Behave) -> None:
    """The same abstract name and the same port are free in every node."""
    for node in ("h1", "h2"):
        behave("unix-stream", "abstract-name", expected="8 bytes: \\0suite", node=node)
        behave("tcp-socket", "port-in-use", expected="EADDRINUSE", node=node)


@pair
def test_processes_of_a_node_are_killed_with_their_group(network: Network) -> None:
    """A process that takes too long ends with all its children, and what it wrote until then is kept."""
    process = network["h1"].spawn(["sh", "-c", "sleep 1000 & sleep 2000 & echo started; wait"])
    network.sleep(5)
    assert process.running
    assert process.stdout == "started\n"
    process.kill(signal.SIGKILL)
    done = process.wait()
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "started\n")
    assert network["h1"].run(["pgrep", "-c", "sleep"], check=False).stdout == "0\n"


@pair
def test_record_of_a_process(network: Network, record_folder: Path) -> None:
    """Each process has a folder: its words, both streams, and its times and end by the network's clock."""
    argv = ["sh", "-c", "echo 'to stdout'; echo 'to stderr' >&2; sleep 1.5; exit 7"]
    network.sleep_until(3)
    done = network["h2"].run(argv, cwd="/tmp", env={"GIVEN": "a value"}, check=False)
    assert done.returncode == 7
    [folder] = (record_folder / "processes").iterdir()
    assert folder.name == "000-h2-sh"
    assert sorted(file.name for file in folder.iterdir()) == ["cmdline", "status", "stderr", "stdout"]
    assert shlex.split((folder / "cmdline").read_text()) == argv
    assert (folder / "stdout").read_text() == "to stdout\n"
    assert (folder / "stderr").read_text() == "to stderr\n"
    status = dict(line.split(": ", 1) for line in (folder / "status").read_text().splitlines())
    assert (status["node"], status["cwd"], status["state"], status["exit"]) == ("h2", "/tmp", "ended", "7")
    assert '"GIVEN":"a value"' in status["env"].replace('": "', '":"')
    start, end = float(status["start_s"]), float(status["end_s"])
    assert start == pytest.approx(3.0, abs=0.01)
    assert end - start == pytest.approx(1.5, abs=0.05)
    assert float(status["duration_s"]) == pytest.approx(end - start, abs=1e-6)


@pair
def test_record_tells_a_signal_and_a_running_process(network: Network, record_folder: Path) -> None:
    """The status says which signal ended a process, and of one that still runs that it does."""
    sleeps = network["h1"].spawn(["sleep", "1000"])
    status = record_folder / "processes" / "000-h1-sleep" / "status"
    assert "state: running\n" in status.read_text()
    network.sleep_until(2.0)
    sleeps.kill(signal.SIGTERM)
    sleeps.wait()
    lines = dict(line.split(": ", 1) for line in status.read_text().splitlines())
    assert (lines["state"], lines["signal"]) == ("ended", "SIGTERM (15)")
    assert float(lines["end_s"]) == pytest.approx(2.0, abs=0.01)
    assert "exit" not in lines


@pytest.mark.scenario(many_nodes, count=100)
@pytest.mark.real_time_budget(30)
def test_hundred_nodes_with_five_processes_each(behave: Behave, network: Network, record_folder: Path) -> None:
    """500 processes at once end cleanly, each at its own time with its own code and its own record; nothing is left."""
    path = behave.program(network["h1"], "process-exit")  # /testbin is the same folder in all nodes
    for node in network.nodes.values():
        node.read("/proc/sys/net/ipv4/ip_forward")  # the agent keeps what it opens for a node's first file or process
    census(network["h1"])  # the first one fills caches
    before = census(network["h1"])
    processes = [
        (number, node.spawn([path, "later", str(number)])) for node in network.nodes.values() for number in range(1, 6)
    ]
    last_spawn = network.now()
    for number, process in processes:
        done = process.wait()
        assert (done.returncode, done.stdout, done.stderr) == (number, "", "")
        assert done.duration_s == pytest.approx(number, abs=0.05)
    assert network.now() == pytest.approx(last_spawn + 5, abs=0.05)
    folders = list((record_folder / "processes").glob("*-process-exit"))
    assert len(folders) == len(processes) == 500
    assert all("state: ended\n" in (folder / "status").read_text() for folder in folders)
    network.sleep(1)
    assert census(network["h1"]) == before


@pair
def test_nothing_leaks(network: Network) -> None:
    """After 100 processes no process, open file or mount is there that was not before them."""
    node = network["h1"]
    census(node)  # the first one fills caches
    before = census(node)
    for _ in range(20):
        node.run(["sh", "-c", "sleep 0.01 & cat /dev/null | cat; wait"])
    killed = [node.spawn(["sleep", "1000"]) for _ in range(20)]
    for process in killed:
        process.kill()
        process.wait()
    network.sleep(1)
    assert census(node) == before


def census(node: Node) -> tuple[int, int, int, str]:
    """Count the processes and open files of the whole guest and a node's mounts; list what is in its /tmp."""
    processes = len(node.run(["ps", "-e", "--no-headers"]).stdout.splitlines())
    files = int(node.read("/proc/sys/fs/file-nr").split()[0])
    mounts = len(node.read("/proc/self/mounts").splitlines())
    return processes, files, mounts, node.run(["ls", "-A", "/tmp"]).stdout
