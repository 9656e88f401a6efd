# SPDX-License-Identifier: MIT
"""Programs that look for time and chance find the same on every run of a seed, and other chance with another seed."""

from __future__ import annotations

import platform
import re
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.determinism.reference import assert_same, execute

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from testbed.backends.network import Network

pytestmark = pytest.mark.guest

BOOT_S = 1_704_067_200
"""The network's t = 0: 2024-01-01T00:00:00Z."""

PYTHON = """
import hashlib, os, random, secrets, ssl, sys, tempfile, threading, time, uuid
print({"%d" % n for n in range(40)}, hash("word"), id(object()), object())
print(random.random(), secrets.token_hex(8), uuid.uuid1(), uuid.uuid4(), tempfile.mkdtemp(), ssl.RAND_bytes(16).hex())
print(time.time(), time.monotonic(), time.perf_counter(), time.process_time(), time.strftime("%c"), os.getpid())
order = []
def work(me):
    for _ in range(30):
        order.append(me)
        if me % 3 == 0: time.sleep(0)
        elif len(order) % 5 == 0: time.sleep(1e-6)
threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
[t.start() for t in threads]; [t.join() for t in threads]
print(order, sorted(os.environ), os.listdir("/etc")[:20], list(os.scandir("/"))[:5])
"""


@pytest.fixture(scope="session")
def probes(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], dict[str, str]]:
    """Give a function that runs the probe with a seed and gives what it printed, by key."""

    def run(seed: int, name: str) -> dict[str, str]:
        seen: list[str] = []

        def drive(network: Network) -> None:
            node = network["h1"]
            node.write("/bin/probe", (programs / "probe").read_bytes(), mode=0o755)
            seen.append(node.run(["/bin/probe"]).stdout)

        execute(tmp_path_factory.mktemp("probe") / name, seed=seed, drive=drive)
        return dict(line.split(": ", 1) for line in seen[0].splitlines() if ": " in line)

    return run


@pytest.fixture(scope="session")
def probed(probes: Callable[[int, str], dict[str, str]]) -> dict[str, str]:
    return probes(1, "first")


def test_probe_sees_the_same_twice(probed: dict[str, str], probes: Callable[[int, str], dict[str, str]]) -> None:
    again = probes(1, "again")
    assert again == probed
    assert len(probed) > 300


@pytest.fixture(scope="session")
def other_seed(probes: Callable[[int, str], dict[str, str]]) -> dict[str, str]:
    return probes(2, "other")


@pytest.mark.parametrize(
    "key",
    [
        "random.getrandom",
        "random.dev_urandom",
        "random.dev_random",
        "random.at_random",
        "random.boot_id.0",
        "random.uuid.0",
        "port.v4.1",
        "port.v4.2",
        "port.v6.1",
        "port.v6.2",
    ],
)
def test_chance_comes_from_the_seed(probed: dict[str, str], other_seed: dict[str, str], key: str) -> None:
    assert probed[key] != other_seed[key]


def test_what_is_no_chance_does_not_depend_on_the_seed(probed: dict[str, str], other_seed: dict[str, str]) -> None:
    fixed = [
        key
        for key in probed
        if key.startswith(("address.", "pid", "machine.uname", "machine.cpus", "order./", "inode."))
    ]
    assert len(fixed) > 20
    assert {key: probed[key] for key in fixed} == {key: other_seed[key] for key in fixed}


def test_clocks_tell_the_time_of_the_network(probed: dict[str, str]) -> None:
    for name in ("clock.0", "clock.gettimeofday"):
        assert float(probed[name].split()[0]) == pytest.approx(BOOT_S, abs=0.1)
    assert float(probed["clock.1"].split()[0]) == pytest.approx(2.0, abs=0.1)
    assert float(probed["proc.uptime.0"].split()[0]) == pytest.approx(2.0, abs=0.1)
    ticks = int(probed["rdtsc"])
    assert 2_000_000_000 <= ticks < 2_100_000_000, "the time stamp counter is that of the network: 1 GHz from boot"
    assert ticks < int(probed["rdtsc.again"]) < int(probed["rdtscp"].split()[0])
    assert probed["rdtscp"].endswith("aux 0")


def test_nothing_of_the_host_shows_in_proc(probed: dict[str, str]) -> None:
    host = [re.escape(name) for name in (socket.gethostname(), platform.release())]
    shown = {key: value for key, value in probed.items() if key.startswith(("proc.", "machine."))}
    leaks = {key: value for key, value in shown.items() if re.search(rf"\b({'|'.join(host)})\b", value)}
    assert not leaks
    assert probed["machine.cpus"] == "1 1 0"


def test_libraries_use_what_every_processor_has(tmp_path: Path) -> None:
    """Fused multiply-add rounds sin() otherwise, and x86-64-v3 folders hold other libraries: not on every machine."""
    help_of_ld_so = ["/lib64/ld-linux-x86-64.so.2", "--help"]
    host = subprocess.run(help_of_ld_so, check=True, capture_output=True, text=True).stdout
    if "x86-64-v3 (supported" not in host:
        pytest.skip("this processor has no more than every other")
    shown: list[str] = []
    execute(tmp_path / "ld", drive=lambda network: shown.append(network["h1"].run(help_of_ld_so).stdout))
    assert "x86-64-v2 (supported" in shown[0]
    assert "x86-64-v3 (supported" not in shown[0]
    assert "x86-64-v4 (supported" not in shown[0]


def test_python_with_random_hashes(tmp_path: Path) -> None:
    def drive(network: Network) -> None:
        for node in ("h1", "h2"):
            network[node].run(["python3", "-c", PYTHON], env={"PYTHONHASHSEED": "random"})

    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        execute(tmp_path / name, seed=seed, drive=drive)
    assert_same(tmp_path / "one", tmp_path / "two")
    out = [(tmp_path / name / "processes/000-h1-python3/stdout").read_text() for name in ("one", "other")]
    first, second = (text.splitlines()[0] for text in out)
    assert first != second, "hash randomisation does not follow the seed"


def test_threads_forks_timers_and_signals(programs: Path, tmp_path: Path) -> None:
    def drive(network: Network) -> None:
        crowds = []
        for node in (network["h1"], network["h2"]):
            node.write("/tmp/crowd", (programs / "crowd").read_bytes(), mode=0o755)
            crowds += [node.spawn(["/tmp/crowd"]), node.spawn(["/tmp/crowd"])]
        for crowd in crowds:
            assert "sleepers: " in crowd.wait().check().stdout

    for name in ("one", "two", "three"):
        execute(tmp_path / name, drive=drive)
        assert_same(tmp_path / "one", tmp_path / name)


def test_listings_by_hash(tmp_path: Path) -> None:
    """Tables that the kernel keeps by hash come in one order: links, neighbours, routes, sockets, processes."""

    def drive(network: Network) -> None:
        h1, h2 = network["h1"], network["h2"]
        for number in range(8):
            h1.run(["ip", "link", "add", f"d{number * 7 % 8}", "type", "dummy"])
            h1.run(["ip", "route", "add", f"10.{number * 5 % 8}.9.0/24", "dev", "eth0"])
        servers = [h2.spawn(["python3", "-m", "http.server", str(port)]) for port in (8003, 8001)]
        for port in (8001, 8003):
            h2.wait_listen(port)
            h1.run(["curl", "-s", f"http://{h2.address()}:{port}/", "-o", "/dev/null"])
        for command in (
            "ip -d link",
            "ip -6 route show table all",
            "ip neigh",
            "ss -tuanpe",
            "ls -liU /proc /sys/class/net",
        ):
            h1.run(command)
            h2.run(command)
        for server in servers:
            server.kill()
            server.wait()

    for name in ("one", "two"):
        execute(tmp_path / name, drive=drive)
    assert_same(tmp_path / "one", tmp_path / "two")
