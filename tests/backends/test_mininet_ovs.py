# SPDX-License-Identifier: MIT
"""Switches of the backend ``mininet`` as Open vSwitch: frames, which switch is what, its absence, its failures."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from testbed.backends import openvswitch
from testbed.backends.mininet import PATH, switches_of
from testbed.backends.registry import switch_kind
from testbed.errors import CapabilityError, ConfigError, TestbedError
from testbed.scenarios.mininet_topo import mininet_topo
from testbed.scenarios.topology import Link, Node, Topology
from tests.backends.test_mininet import no_traces, offspring

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.backends.network import Network
    from tests.backends.conftest import Up

__all__ = ["no_traces"]

TOPO = """
from functools import partial

from mininet.node import OVSBridge, OVSSwitch
from mininet.nodelib import LinuxBridge
from mininet.topo import Topo

class Mine(OVSSwitch):
    pass

class MyTopo(Topo):
    def build(self):
        switches = [
            self.addSwitch("s1", cls=Mine),
            self.addSwitch("s2", cls=partial(OVSBridge, datapath="user")),
            self.addSwitch("s3", cls=LinuxBridge),
        ]
        for number, switch in enumerate(switches, start=1):
            self.addLink(self.addHost(f"h{number}"), switch)
        self.addLink("s1", "s2")
        self.addLink("s2", "s3")
"""


@pytest.fixture
def ovs() -> None:
    """Skip where there is no Open vSwitch."""
    try:
        openvswitch.datapath(PATH)
    except CapabilityError as error:
        pytest.skip(str(error))


def ports(network: Network, switch: str) -> set[str]:
    """Ask a switch's own database for its ports."""
    words = ["ovs-vsctl", "--db=tcp:127.0.0.1:6640", "--bare", "--columns=name", "list", "Interface"]
    return set(network[switch].run(words).stdout.split())


@pytest.mark.mininet
@pytest.mark.usefixtures("ovs", "no_traces")
@pytest.mark.parametrize("kind", ["ovs", "ovs-user"])
def test_hosts_meet_over_open_vswitch(up: Up, kind: str) -> None:
    network = up("lan", n=3, switch=kind)
    for version in (4, 6):
        for number in (2, 3):
            assert "1 received" in network["h1"].run(["ping", "-c1", network[f"h{number}"].address(version)]).stdout
    assert ports(network, "s1") == {"s1", "eth0", "eth1", "eth2"}
    assert network["s1"].run(["ip", "link", "show", "type", "bridge"]).stdout == ""
    flows = network["s1"].run(["ovs-ofctl", "dump-flows", "tcp:127.0.0.1:6653"]).stdout
    assert len(re.findall(r"actions=(?!NORMAL)", flows)) == 0, "it learns addresses, and nobody gave it flows"
    assert "actions=NORMAL" in flows
    network.down()


@pytest.mark.mininet
@pytest.mark.usefixtures("ovs")
def test_transfer_over_open_vswitch_has_checksums(up: Up) -> None:
    network = up("lan", n=2, switch="ovs", capture=False)
    server = network["h2"].spawn(["iperf3", "-s", "-1"])
    network["h2"].wait_listen(5201)
    done = network["h1"].run(["iperf3", "-c", network["h2"].address(), "-n", "20M", "-J"])
    assert server.wait().returncode == 0
    end = json.loads(done.stdout)["end"]
    assert end["sum_sent"]["bytes"] >= 20 << 20
    assert end["sum_received"]["bytes"] >= 10 << 20, "what is under way when the sender ends is not counted"
    assert "TcpInCsumErrors 0" in re.sub(" +", " ", network["h2"].run(["nstat", "-asz", "TcpInCsumErrors"]).stdout)


@pytest.mark.mininet
@pytest.mark.usefixtures("ovs", "no_traces")
def test_port_without_carrier_carries_nothing_until_it_is_back(up: Up) -> None:
    network = up("lan", n=2, switch="ovs")
    target = network["h2"].address()
    assert network["h1"].run(["ping", "-c1", target]).returncode == 0
    network.link("h2-s1").cut()
    assert network["h1"].run(["ping", "-c1", "-W1", target], check=False).returncode != 0
    network.link("h2-s1").restore()
    assert network["h1"].run(["ping", "-c1", "-W5", target]).returncode == 0
    network.down()


@pytest.mark.mininet
@pytest.mark.usefixtures("ovs", "no_traces")
def test_classes_of_a_topo_say_what_each_switch_is(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "mytopo.py"
    file.write_text(TOPO)
    topology = mininet_topo(str(file) + ":MyTopo")
    assert {node.name: node.switch for node in topology.nodes if node.kind == "switch"} == {
        "s1": "ovs",
        "s2": "ovs-user",
        "s3": "bridge",
    }
    network = up(topology)
    assert "1 received" in network["h1"].run(["ping", "-c1", network["h3"].address()]).stdout
    assert [len(ports(network, name)) for name in ("s1", "s2")] == [3, 4]
    assert "s3" in network["s3"].run(["ip", "link", "show", "type", "bridge"]).stdout
    assert len(offspring()) > 8, "the agent, the driver, the shells and the daemons: else no_traces looks for nothing"
    network.down()


@pytest.mark.mininet
@pytest.mark.usefixtures("ovs", "no_traces")
def test_failure_of_open_vswitch_shows_its_last_words_and_leaves_nothing(up: Up) -> None:
    # A bridge cannot have the name of one of its own ports.
    topology = Topology((Node("h1"), Node("eth0", "switch", switch="ovs")), (Link("h1", "eth0"),))
    with pytest.raises(
        TestbedError,
        match=r"(?s)^Mininet did not build the network \(exit status 1\).*eth0: Open vSwitch did not start: .*eth0",
    ):
        up(topology)


def test_switch_is_a_bridge_unless_the_topology_or_the_user_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvswitch, "datapath", lambda _path, *, user: "user" if user else "kernel")
    topology = Topology(
        (Node("h"), Node("a", "switch"), Node("b", "switch", switch="ovs"), Node("c", "switch", switch="ovs-user"))
    )
    assert switches_of(topology, None) == {"a": "bridge", "b": "kernel", "c": "user"}
    assert switches_of(topology, "ovs") == dict.fromkeys("abc", "kernel")
    assert switches_of(topology, "bridge") == dict.fromkeys("abc", "bridge")


@pytest.mark.parametrize(
    ("wanted", "there", "found"),
    [
        ("ovs", "kernel", "kernel"),
        ("ovs", "tun", "user"),
        ("ovs-user", "kernel, tun", "user"),
        ("ovs", "", "of the kernel's datapath, this machine's kernel has no family 'ovs_datapath'; "),
        ("ovs-user", "kernel", "of the kernel's datapath, it is not wanted; "),
    ],
)
def test_datapath_is_the_kernels_else_its_own_else_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: str, there: str, found: str
) -> None:
    for name in openvswitch.PROGRAMS:
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(openvswitch, "SCHEMA", tmp_path)
    monkeypatch.setattr(openvswitch, "TUN", tmp_path if "tun" in there else tmp_path / "tun")
    monkeypatch.setattr(openvswitch, "kernel_has_it", lambda: "kernel" in there)
    user = wanted == "ovs-user"
    if found in {"kernel", "user"}:
        assert openvswitch.datapath(str(tmp_path), user=user) == found
        return
    with pytest.raises(CapabilityError, match=rf"^Open vSwitch can move no frames here: {found}.*\nhint: modprobe "):
        openvswitch.datapath(str(tmp_path), user=user)


def test_kernel_is_asked_by_the_name_of_the_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvswitch, "_FAMILY", "nlctrl")  # the one that every kernel has
    assert openvswitch.kernel_has_it()
    monkeypatch.setattr(openvswitch, "_FAMILY", "no_such_family")
    assert not openvswitch.kernel_has_it()


def test_missing_open_vswitch_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(openvswitch, "SCHEMA", tmp_path / "schema")
    wanted = r"^Open vSwitch is not installed \(package openvswitch-switch\): no ovs-vswitchd, .*schema\nhint: apt-get "
    with pytest.raises(CapabilityError, match=wanted):
        openvswitch.datapath(str(tmp_path))


@pytest.mark.mininet
def test_network_with_open_vswitch_is_refused_where_it_is_not(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvswitch, "PROGRAMS", ("no-vswitchd",))
    with pytest.raises(
        CapabilityError, match=r"^Open vSwitch is not installed \(package openvswitch-switch\): no no-vswitchd[,\n]"
    ):
        up("lan", n=2, switch="ovs")
    assert up("lan", n=2).nodes.keys() == {"s1", "h1", "h2"}, "a bridge does not need it"


@pytest.mark.parametrize(
    ("word", "of", "message"),
    [
        ("osv", "mininet", "no kind of switch 'osv'; did you mean 'ovs'?"),
        ("ovs", "netns", "the backend 'netns' has one kind of switch: --switch ovs is for the backend mininet"),
    ],
)
def test_kind_of_switch_that_cannot_be_is_refused(word: str, of: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(message)}(\n|$)"):
        switch_kind(word, of)
    assert switch_kind(None, of) is None
    assert switch_kind("ovs", "mininet") == "ovs"


@pytest.mark.netns
def test_kind_of_a_switch_is_no_reason_to_fail_where_there_is_no_choice(up: Up) -> None:
    nodes = (Node("h1"), Node("h2"), Node("s1", "switch", switch="ovs"))
    network = up(Topology(nodes, (Link("h1", "s1"), Link("h2", "s1"))))
    assert "1 received" in network["h1"].run(["ping", "-c1", network["h2"].address()]).stdout
