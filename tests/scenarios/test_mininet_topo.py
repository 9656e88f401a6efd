# SPDX-License-Identifier: MIT
"""Mininet's Topo classes as topologies; no Mininet is started for it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from testbed.errors import CapabilityError, ConfigError
from testbed.scenarios.given import absolute, given_topology, lacking
from testbed.scenarios.layout import interfaces
from testbed.scenarios.mininet_python import mininet_python
from testbed.scenarios.mininet_topo import mininet_topo, topology_of
from testbed.scenarios.registry import scenario
from testbed.scenarios.topology import SWITCHES, Route

if TYPE_CHECKING:
    from pathlib import Path

MINE = """
from mininet.link import TCLink
from mininet.node import Node
from mininet.topo import SingleSwitchTopo, Topo

print("words of the user's own")

class LinuxRouter(Node):
    def config(self, **params):
        super().config(**params)
        self.cmd("sysctl net.ipv4.ip_forward=1")

class MyTopo(Topo):
    def build(self, n=2, delay="5ms", **more):
        switch = self.addSwitch("s1")
        for number in range(n):
            host = self.addHost(f"h{number + 1}")
            self.addLink(host, switch, cls=TCLink, bw=10, delay=delay, loss=1, **more)

class Routed(Topo):
    def build(self):
        router = self.addNode("r0", cls=LinuxRouter, ip="192.168.1.1/24")
        s1, s2 = self.addSwitch("s1"), self.addSwitch("s2")
        self.addLink(s1, router, intfName2="r0-eth1", params2={"ip": "192.168.1.1/24"})
        self.addLink(s2, router, intfName2="r0-eth2", params2={"ip": "172.16.0.1/12"})
        self.addLink(self.addHost("h1", ip="192.168.1.100/24", defaultRoute="via 192.168.1.1"), s1)
        self.addLink(self.addHost("h2", ip="172.16.0.100/12", defaultRoute="via 172.16.0.1"), s2)

class Numbered(Topo):
    def build(self):
        self.addLink(self.addHost("h10"), self.addHost("h2"))
        self.addLink("h2", self.addHost("h1", ip="10.0.0.77"))

class Broken(Topo):
    def build(self):
        raise ValueError("no such day")

topos = {"mine": lambda n=4: MyTopo(n=n), "number": lambda: 5}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    try:
        mininet_python()
    except CapabilityError as error:
        pytest.skip(str(error))
    path = tmp_path / "mytopo.py"
    path.write_text(MINE)
    return path


def refused(message: str) -> str:
    return rf"^{re.escape(message)}(\n|$)"


def test_class_becomes_a_topology(file: Path) -> None:
    topology = mininet_topo(f"{file}:MyTopo")
    assert [(node.name, node.kind) for node in topology.nodes] == [("s1", "switch"), ("h1", "host"), ("h2", "host")]
    for link, name in zip(topology.links, ("h1-s1", "h2-s1"), strict=True):
        assert link.name == name
        assert link.addresses_a is None
        for shape in link.shapes:
            assert (shape.rate_bps, shape.delay_ms, shape.loss_ratio) == (10_000_000, 5, 0.01)


def test_words_go_to_the_class(file: Path) -> None:
    topology = mininet_topo(f"{file}:MyTopo,3,delay=1ms,max_queue_size=9")
    assert len(topology.links) == 3
    assert (topology.links[0].shape.delay_ms, topology.links[0].shape.queue_packets) == (1, 9)
    assert len(mininet_topo(f"{file}:mine").links) == 4
    assert len(mininet_topo(f"{file}:mine,5").links) == 5
    assert len(mininet_topo(f"{file}:SingleSwitchTopo,k=3").links) == 3


def test_file_that_changes_is_read_again(file: Path) -> None:
    assert len(mininet_topo(f"{file}:MyTopo").nodes) == 3
    file.write_text("from mininet.topo import SingleSwitchTopo as MyTopo, MinimalTopo\nclass T(MyTopo): pass\n")
    assert len(mininet_topo(str(file)).nodes) == 3, "the only one of the file's own"
    assert len(mininet_topo(f"{file}:MyTopo,7").nodes) == 8


def test_routers_addresses_and_default_routes_stay(file: Path) -> None:
    topology = mininet_topo(f"{file}:Routed")
    assert topology.node("r0").kind == "router"
    found = {(end.node, end.name): end.addresses for end in interfaces(topology) if end.addresses}
    assert found == {
        ("r0", "eth0"): ("192.168.1.1/24",),
        ("r0", "eth1"): ("172.16.0.1/12",),
        ("h1", "eth0"): ("192.168.1.100/24",),
        ("h2", "eth0"): ("172.16.0.100/12",),
    }
    assert Route(node="h1", dst="default", via="192.168.1.1") in topology.routes


def test_addresses_that_are_left_out_are_mininets(file: Path) -> None:
    found = [(end.node, end.name, end.addresses) for end in interfaces(mininet_topo(f"{file}:Numbered"))]
    assert found == [
        ("h10", "eth0", ("10.0.0.3/8",)),
        ("h2", "eth0", ("10.0.0.2/8",)),
        ("h2", "eth1", ()),
        ("h1", "eth0", ("10.0.0.77/8",)),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MyTop", "{file} has no Topo 'MyTop'; did you mean 'MyTopo'?"),
        ("", "{file} has 6 topologies; which one? Broken, MyTopo, Numbered, Routed, mine, number"),
        (
            "TCLink",
            "{file}:TCLink: 'TCLink' is no Topo, its type is type; valid: Broken, MyTopo, Numbered, Routed, mine, {n}",
        ),
        ("number", "{file}:number: 'number' is no Topo, its type is int"),
        ("Broken", "{file}:Broken: the class failed: line {raises}: ValueError: no such day"),
        ("MyTopo,delay=never", "{file}:MyTopo,delay=never: link h1-s1: delay must be a time, not 'never'"),
        ("MyTopo,dealy=1ms", "{file}:MyTopo,dealy=1ms: link h1-s1: unknown option 'dealy'; did you mean 'delay'?"),
    ],
)
def test_class_that_cannot_be_had_is_refused(file: Path, name: str, message: str) -> None:
    raises = next(number for number, line in enumerate(MINE.splitlines(), start=1) if "raise" in line)
    with pytest.raises(ConfigError, match=refused(message.format(file=file, raises=raises, n="number"))):
        mininet_topo(f"{file}:{name}" if name else str(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 +\n", "{file} cannot be executed: line 1: SyntaxError: invalid syntax (mytopo.py, line 1)"),
        ("\nimport nowhere\n", "{file} cannot be executed: line 2: ModuleNotFoundError: No module named 'nowhere'"),
        ("import sys\nsys.exit(3)\n", "{file} cannot be executed: line 2: SystemExit: 3"),
        ("import os\nos._exit(3)\n", "{file}: the file cannot be read: no word"),
        ("x = 1\n", "{file} has no Topo class and no 'topos'"),
    ],
)
def test_file_that_cannot_be_read_is_refused(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=refused(message.format(file=file))):
        mininet_topo(str(file))


def test_missing_file_names_near_ones(tmp_path: Path) -> None:
    (tmp_path / "mytopo.py").write_text("")
    message = f"no file '{tmp_path}/mytop.py' with a Mininet topology; did you mean 'mytopo.py'?"
    with pytest.raises(ConfigError, match=refused(message)):
        mininet_topo(f"{tmp_path}/mytop.py:MyTopo")


def test_default_route_is_read_or_refused() -> None:
    def topology(route: str) -> tuple[Route, ...]:
        nodes = [
            {"name": name, "switch": False, "router": False, "classes": [], "opts": opts}
            for name, opts in (("a", {"defaultRoute": route}), ("b", {}))
        ]
        return topology_of("t", {"nodes": nodes, "links": [{"ends": ["a", "b"], "opts": {}}]}).routes

    assert topology("dev a-eth0") == (Route(node="a", dst="default", iface="eth0"),)
    assert topology("dev a-eth0 via 10.0.0.2") == (Route(node="a", dst="default", via="10.0.0.2", iface="eth0"),)
    with pytest.raises(ConfigError, match=refused("'a': defaultRoute='somehow' cannot be read")):
        topology("somehow")


@pytest.mark.parametrize(
    ("node", "found"),
    [
        ("addSwitch('x')", None),
        ("addSwitch('x', cls=node.OVSSwitch)", "ovs"),
        ("addSwitch('x', cls=node.OVSKernelSwitch, failMode='standalone', dpid='7')", "ovs"),
        ("addSwitch('x', cls=Mine)", "ovs"),
        ("addSwitch('x', cls=partial(node.OVSBridge, datapath='user'))", "ovs-user"),
        ("addSwitch('x', cls=partial(node.OVSSwitch, datapath='user'), datapath='kernel')", "ovs"),
        ("addSwitch('x', datapath='user')", "ovs-user"),
        ("addSwitch('x', cls=nodelib.LinuxBridge, stp=True)", "bridge"),
        ("addSwitch('x', cls=node.OVSSwitch, failMode='secure')", "switch 'x': failMode='secure' wants a controller"),
        ("addSwitch('x', controller='c0')", "switch 'x': controller='c0' wants a controller"),
        (
            "addSwitch('x', cls=node.UserSwitch)",
            "'x': cls=UserSwitch cannot be had: it does nothing without a controller",
        ),
        (
            "addSwitch('x', cls=node.IVSSwitch)",
            "'x': cls=IVSSwitch cannot be had: it does nothing without a controller",
        ),
        (
            "addHost('x', cls=node.RemoteController)",
            "'x': cls=RemoteController cannot be had: there are no controllers here",
        ),
        (
            "addHost('x', cls=nodelib.NAT, inNamespace=False)",
            "'x': cls=NAT cannot be had: no packet leaves the network here",
        ),
    ],
)
def test_class_of_a_node_says_what_it_is_or_is_refused(file: Path, node: str, found: str | None) -> None:
    file.write_text(
        "from functools import partial\nfrom mininet import node, nodelib\nfrom mininet.topo import Topo\n"
        "class Mine(node.OVSSwitch): pass\n"
        f"class MyTopo(Topo):\n    def build(self):\n        self.{node}\n"
    )
    if found is None or found in SWITCHES:
        (only,) = mininet_topo(f"{file}:MyTopo").nodes
        assert (only.kind, only.switch) == ("switch", found)
        return
    with pytest.raises(ConfigError, match=rf"^{re.escape(f'{file}:MyTopo: {found}')}.*\nhint: "):
        mininet_topo(f"{file}:MyTopo")


def test_file_that_waits_is_given_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.scenarios.mininet_topo._LIMIT_S", 0.5)
    file.write_text("import signal\nsignal.pause()\n")
    with pytest.raises(ConfigError, match=refused(f"{file}: the file was not read within 0.5 s")):
        mininet_topo(str(file))


def test_topology_as_json_is_given_back(tmp_path: Path) -> None:
    wanted = scenario("chain", n=4, delay_ms=3)
    path = tmp_path / "topology.json"
    path.write_text(json.dumps(wanted.to_dict()))
    assert given_topology(str(path)) == wanted
    assert lacking(wanted, ["h1", "x", "r2"]) == ["x"]
    path.write_text("[]")
    with pytest.raises(ConfigError, match=refused(f"'{path}' is no topology but a list")):
        given_topology(str(path))
    with pytest.raises(ConfigError, match=r"^cannot read the topology 'no\.json': "):
        given_topology("no.json")


def test_absolute_path_keeps_the_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("a/b.py:C,1,x=2") == f"{tmp_path}/a/b.py:C,1,x=2"
