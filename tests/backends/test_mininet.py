# SPDX-License-Identifier: MIT
"""What the backend ``mininet`` has beyond the contract: Mininet itself, its absence, its failures, what it leaves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.backends import mininet
from testbed.backends.artifacts import find_agent
from testbed.backends.base import BackendOptions
from testbed.backends.mininet import check_shapes, switches_of
from testbed.backends.mininet_plan import for_agent, for_mininet
from testbed.backends.plan import make_plan
from testbed.backends.registry import backend
from testbed.errors import CapabilityError, DeadlineError, TestbedError
from testbed.scenarios import layout, mininet_python
from testbed.scenarios.registry import scenario
from testbed.scenarios.topology import Link, Node, Topology
from tests.faults import leaks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.backends.conftest import Up


@pytest.fixture
def no_traces() -> Iterator[None]:
    """Check that the host is afterwards as it was: links, named namespaces, mounts, processes in other namespaces."""
    before = leaks.traces()
    yield
    assert leaks.await_end(sorted(offspring())) == []
    assert leaks.await_no_more_than(before) == {}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that every user may write to, which pytest's own ones are not."""
    with tempfile.TemporaryDirectory(prefix="testbed-open-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def offspring() -> set[int]:
    """Find the processes of networks of this test process: their HOME is a scratch folder with its pid in the name."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if f"/net-{os.getpid()}-".encode() in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
    return found


@pytest.mark.mininet
@pytest.mark.usefixtures("no_traces")
def test_nodes_are_shells_of_mininet_and_the_host_sees_no_link(up: Up) -> None:
    links = leaks.traces().links
    network = up("lan", n=2)
    shells = network["h1"].run("ps -eo args").stdout
    assert set(re.findall(r"mininet:(\w+)", shells)) == {"h1", "h2", "s1"}
    assert sorted(re.findall(r"^\d+: (\S+?)@", network["s1"].run("ip link show master s1").stdout, re.MULTILINE)) == [
        "eth0",
        "eth1",
    ]
    assert leaks.traces().links == links
    assert len(offspring()) > 3, "the agent, the driver and the shells: else no_traces looks for nothing"
    network.down()


@pytest.mark.mininet
@pytest.mark.usefixtures("no_traces")
def test_two_networks_with_the_same_names_do_not_meet(up: Up) -> None:
    one, other = up("pair"), up("pair")
    one["h1"].write("/tmp/mine", b"")
    with pytest.raises(FileNotFoundError):
        other["h1"].read("/tmp/mine")
    for network in (one, other):
        assert "1 received" in network["h1"].run(["ping", "-c1", network["h2"].address()]).stdout
        network.down()


@pytest.mark.mininet
def test_switches_of_the_machine_cannot_be_changed_from_a_node(up: Up) -> None:
    node = up("single")["h1"]
    for path in ("/proc/sys/kernel/pid_max", "/sys/kernel/mm/ksm/run"):
        assert node.run(["sh", "-c", f"echo 1 > {path}"], check=False).returncode != 0, path


@pytest.mark.mininet
@pytest.mark.usefixtures("no_traces")
def test_failure_of_mininet_shows_its_last_words_and_leaves_nothing(up: Up) -> None:
    # A bridge cannot have the name of one of its own ports.
    topology = Topology((Node("h1"), Node("eth0", "switch")), (Link("h1", "eth0"),))
    with pytest.raises(
        TestbedError,
        match=r"(?s)^Mininet did not build the network \(exit status 1\); its last words:\n.*brctl addbr eth0: .*exist",
    ):
        up(topology)


@pytest.mark.mininet
@pytest.mark.usefixtures("no_traces")
def test_driver_that_dies_before_it_has_read_its_plan_shows_its_last_words(
    up: Up, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text("raise SystemExit('no such day')\n")
    monkeypatch.setattr(mininet, "_DRIVER", driver)
    # More than a socket holds: whoever sends it learns that nobody reads.
    monkeypatch.setattr("testbed.backends.mininet_plan.for_mininet", lambda *_: {"filler": "x" * (8 << 20)})
    with pytest.raises(
        TestbedError, match=r"^Mininet did not build the network \(exit status 1\); its last words:\n  no such day$"
    ):
        up("pair")


@pytest.mark.mininet
@pytest.mark.usefixtures("no_traces")
@pytest.mark.parametrize("place", ["first", "other"])
def test_address_that_mininet_cannot_set_ends_the_building_where_mininet_would_go_on(up: Up, place: str) -> None:
    refused = ("224.0.0.5/24",)  # ifconfig(8) takes no multicast address
    links = [Link("h1", "h2"), Link("h1", "h2")]
    links[place == "other"] = Link("h1", "h2", addresses_a=refused, addresses_b=())
    with pytest.raises(
        TestbedError,
        match=r"(?s)^Mininet did not build the network \(exit status 1\).*h1: 224\.0\.0\.5/24: SIOCSIFADDR: ",
    ):
        up(Topology((Node("h1"), Node("h2")), tuple(links)))


@pytest.mark.mininet
@pytest.mark.skipif(os.geteuid() != 0, reason="another user's Mininet could not change them anyway")
def test_switches_of_the_machine_stay_that_mininet_turns_at_its_start(up: Up) -> None:
    backlog = Path("/proc/sys/net/core/netdev_max_backlog")  # Mininet's start: 5000, where it is less
    before = backlog.read_text()
    backlog.write_text("4999")
    try:
        up("pair")
        assert backlog.read_text() == "4999\n"
    finally:
        backlog.write_text(before)


@pytest.mark.mininet
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize("switch", ["bridge", "ovs"])
def test_an_ordinary_user_gets_the_same(up: Up, open_folder: Path, switch: str) -> None:
    assert up is not None, "it runs for root"
    shutil.copy(find_agent(None) / "agent", open_folder)
    command = ["exec", "--backend", "mininet", "--switch", switch, "--scenario", "lan", "--", "ping", "-c1", "10.0.1.2"]
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "testbed", *command],
        cwd=open_folder,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(open_folder),
            "TESTBED_CACHE": str(open_folder / "cache"),
            "TESTBED_AGENT": str(open_folder / "agent"),
            "TMPDIR": str(open_folder),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "refuses namespaces" in done.stderr or "Open vSwitch" in done.stderr:
        pytest.skip(done.stderr)
    assert "1 received" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.mininet
@pytest.mark.usefixtures("no_traces")
def test_network_that_may_not_live_long_is_given_up(up: Up) -> None:
    with pytest.raises(DeadlineError, match=r"0\.8 s of wall time$"):
        up("lan", n=200, wall_limit_s=0.8)


def test_python_without_mininet_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    for found, text in ((None, "cannot run"), ("#!/bin/sh\nexit 1\n", "Mininet is not installed: ")):
        if found is not None:
            python.write_text(found)
            python.chmod(0o755)
        monkeypatch.setenv(mininet_python.VARIABLE, str(python))
        mininet_python.mininet_python.cache_clear()
        with pytest.raises(CapabilityError, match=rf"^{text}(.|\n)*apt-get install -y mininet bridge-utils"):
            mininet_python.mininet_python()
    monkeypatch.delenv(mininet_python.VARIABLE)
    mininet_python.mininet_python.cache_clear()


def test_missing_program_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mininet, "PATH", str(tmp_path))
    (tmp_path / "mnexec").write_text("")
    (tmp_path / "mnexec").chmod(0o755)
    for ask in (backend("mininet").capabilities, lambda: backend("mininet").up(scenario("single"))):
        with pytest.raises(
            CapabilityError, match=r"^the backend mininet needs the program 'brctl'.*\n.* bridge-utils$"
        ):
            ask()


@pytest.mark.parametrize(
    ("shape", "have", "needed"),
    [
        ({"delay_ms": 5}, ["tbf"], "delay_ms=5"),
        ({"loss_ratio": 0.1, "rate_bps": 1000}, ["tbf"], "rate_bps=1000, loss_ratio=0.1"),
        ({"rate_bps": 1000}, [], "rate_bps=1000"),
        ({"rate_bps": 1000}, ["tbf"], None),
        ({"delay_ms": 5, "rate_bps": 1000}, ["netem"], None),
        ({"queue_packets": 7}, [], None),
    ],
)
def test_shape_that_the_kernel_cannot_do_is_refused_first(
    shape: dict[str, object], have: list[str], needed: str | None
) -> None:
    topology = scenario("pair", **shape)
    if needed is None:
        check_shapes(topology, have)
        return
    with pytest.raises(CapabilityError, match=rf"^link 'h1-h2' asks for {re.escape(needed)}: that needs (netem|tbf), "):
        check_shapes(topology, have)


def test_plan_is_split_between_mininet_and_the_agent() -> None:
    topology = Topology(
        (Node("a", sysctls={"net.ipv4.conf.default.rp_filter": "0"}), Node("s", "switch"), Node("r", "router")),
        (
            Link("a", "s"),
            Link("s", "r"),
            Link("r", "a", mtu=1400, addresses_a=("10.9.0.1/24", "10.9.0.2/24"), addresses_b=("10.9.0.3/24",)),
        ),
    )
    ends = layout.interfaces(topology)
    plan = make_plan(topology, ends, seed=1, options=BackendOptions(), settle_ns=0)
    asked = for_mininet(plan, switches_of(topology, None))
    assert [(node["name"], node["switch"], node["ip"]) for node in asked["nodes"]] == [
        ("a", None, "10.0.1.1/24"),
        ("s", "bridge", None),
        ("r", None, "10.0.1.2/24"),
    ]
    assert asked["nodes"][0]["inherited"]["/proc/sys/net/ipv4/conf/default/rp_filter"] == "0"
    assert asked["addresses"] == [("r", "eth1", "10.9.0.1/24"), ("a", "eth1", "10.9.0.3/24")]
    assert [link["wire"]["places"] for link in asked["links"]] == [[0, 0], [1, 0], [1, 1]]
    assert asked["links"][2]["wire"]["mtu"] == 1400
    for_agent(plan, {"first": 7, "pids": {"r": 30, "s": 20, "a": 10}})
    assert plan["made"] == {"first": 7, "pids": [10, 20, 30]}
    assert [end["addresses"] for end in plan["links"][0]["ends"]] == [["fd00:1::1/64"], []]
    assert plan["links"][2]["ends"][0]["addresses"] == ["10.9.0.2/24"]
