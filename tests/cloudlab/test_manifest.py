# SPDX-License-Identifier: MIT
"""Reading manifests, cutting plans along them, and clocks: what needs no node."""

from __future__ import annotations

import dataclasses
import struct
from typing import TYPE_CHECKING, Any

import pytest

from testbed.backends.base import BackendOptions
from testbed.backends.cloudlab import clock, facts, partition
from testbed.backends.cloudlab.manifest import Manifest, read_manifest
from testbed.backends.cloudlab.problems import NodeError
from testbed.backends.plan import make_plan
from testbed.errors import CapabilityError, ConfigError
from testbed.scenarios import layout
from testbed.scenarios.registry import scenario
from testbed.scenarios.topology import Link, Node, Topology

if TYPE_CHECKING:
    from pathlib import Path

# As CloudLab answers a request of `testbed cloudlab profile`: MAC addresses without colons, several logins.
NODE = """
  <node client_id="{name}" exclusive="true" component_id="urn:publicid:IDN+utah.cloudlab.us+node+hp{number}">
    <sliver_type name="raw-pc"/>
    <hardware_type name="xl170"/>
    <interface client_id="{name}:eth0" mac_address="9cdc717b2e{number:02x}">
      <ip address="10.0.1.{number}" type="ipv4"/>
    </interface>
    <interface client_id="{name}:eth1" mac_address="9c:dc:71:7b:2f:{number:02X}"/>
    <services>
      <login authentication="ssh-keys" hostname="hp{number}.utah.cloudlab.us" port="22" username="ada"/>
      <login authentication="ssh-keys" hostname="hp{number}.utah.cloudlab.us" port="22" username="grace"/>
    </services>
  </node>"""
MAC = "9c:dc:71:7b:2e:01"
LAN = '<link client_id="{name}">{ends}</link>'
HEAD = '<rspec xmlns="http://www.geni.net/resources/rspec/3" type="{kind}">'


def manifest_text(*, kind: str = "manifest", links: dict[str, list[str]], names: tuple[str, ...]) -> str:
    nodes = "".join(NODE.format(name=name, number=number) for number, name in enumerate(names, start=1))
    ends = {link: "".join(f'<interface_ref client_id="{end}"/>' for end in found) for link, found in links.items()}
    return HEAD.format(kind=kind) + nodes + "".join(LAN.format(name=n, ends=e) for n, e in ends.items()) + "</rspec>"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "manifest.xml"
    path.write_text(text)
    return path


@pytest.fixture
def three(tmp_path: Path) -> Manifest:
    """h1, h2 and h3 on one LAN, and a second cable between h1 and h2."""
    links = {"lan": ["h1:eth0", "h2:eth0", "h3:eth0"], "cable": ["h1:eth1", "h2:eth1"]}
    return read_manifest(written(tmp_path, manifest_text(links=links, names=("h1", "h2", "h3"))))


def test_a_manifest_says_who_is_where(three: Manifest) -> None:
    machine = three.machines["h2"]
    assert (machine.host, machine.port, machine.user) == ("hp2.utah.cloudlab.us", 22, "ada")
    assert machine.hardware == "xl170"
    assert [(port.mac, port.address, port.link) for port in machine.ports] == [
        ("9c:dc:71:7b:2e:02", "10.0.1.2", "lan"),
        ("9c:dc:71:7b:2f:02", None, "cable"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<rspec", "is no XML"),
        (
            manifest_text(kind="request", links={}, names=("h1",)),
            "of type 'manifest' in .*, found .* of type 'request'",
        ),
        (manifest_text(links={}, names=()), "has no nodes"),
        (manifest_text(links={}, names=("h1", "h1")), r"names \['h1'\] twice"),
        (manifest_text(links={}, names=("h1",)).replace("services", "gone"), "has no <login"),
        (manifest_text(links={}, names=("h1",)).replace('port="22"', 'port="ssh"'), "1 to 65535, found 'ssh'"),
        (manifest_text(links={}, names=("h1",)).replace("9cdc717b2e01", ""), "has no MAC address, found ''"),
        (
            manifest_text(links={}, names=("h1",)).replace("9c:dc:71:7b:2f:01", "9CDC717B2E01"),
            "interfaces h1:eth0 and h1:eth1 of node 'h1' share one NIC",
        ),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_manifest(written(tmp_path, text))


def plan_of(topology: Topology) -> dict[str, Any]:
    return make_plan(topology, layout.interfaces(topology), seed=1, options=BackendOptions(), settle_ns=0)


def test_each_machine_gets_its_own_direction_of_a_cable(three: Manifest) -> None:
    parts = partition.cut(plan_of(scenario("pair", delay_ms=3, loss_ratio=0.1)), three)
    assert set(parts) == {"h1", "h2"}
    for name, part in parts.items():
        (link,) = part.plan["links"]
        assert [end["node"] for end in link["ends"]] == [name, "tb-wire-0"]
        assert [(shape["delay_ns"], shape["loss"]) for shape in link["shapes"]] == [(3_000_000, 0.1), (0, 0.0)]
        assert link["ends"][0]["mac"] == part.cables[0].port.mac
    assert parts["h1"].plan["links"][0]["shapes"][0]["seed"] != parts["h2"].plan["links"][0]["shapes"][0]["seed"]


def test_what_a_switch_sends_is_shaped_at_the_host(three: Manifest) -> None:
    parts = partition.cut(plan_of(scenario("lan", n=3, delay_ms=3)), three)
    assert set(parts) == {"h1", "h2", "h3"}
    assert [shape["delay_ns"] for shape in parts["h3"].plan["links"][0]["shapes"]] == [3_000_000, 3_000_000]
    assert {part.cables[0].port.link for part in parts.values()} == {"lan"}


def test_two_cables_take_two_nics_and_there_is_no_third(three: Manifest) -> None:
    hosts = (Node("h1"), Node("h2"))
    parts = partition.cut(plan_of(Topology(hosts, (Link("h1", "h2"), Link("h1", "h2")))), three)
    assert [cable.port.client_id for cable in parts["h1"].cables] == ["h1:eth0", "h1:eth1"]
    with pytest.raises(CapabilityError, match=r"link h1-h2-3: no \(further\) interface of h1 is on a link with h2"):
        partition.cut(plan_of(Topology(hosts, tuple(Link("h1", "h2") for _ in range(3)))), three)


def test_a_machine_that_is_not_there_is_named(three: Manifest) -> None:
    with pytest.raises(CapabilityError, match="the manifest has no h4"):
        partition.cut(plan_of(scenario("lan", n=4)), three)


def test_a_shape_between_switches_is_refused(three: Manifest) -> None:
    nodes = (Node("h1"), Node("s1", "switch"), Node("s2", "switch"), Node("h2"))
    ends = (Link("h1", "s1"), Link("s2", "h2"))
    assert set(partition.cut(plan_of(Topology(nodes, (*ends, Link("s1", "s2")))), three)) == {"h1", "h2"}
    slow = scenario("pair", delay_ms=1).links[0].shape
    with pytest.raises(CapabilityError, match="between switches is one LAN"):
        partition.cut(plan_of(Topology(nodes, (*ends, Link("s1", "s2", slow)))), three)


def test_times_of_packets_move_and_other_blocks_stay() -> None:
    def packet(time_ns: int) -> bytes:
        body = struct.pack("<IIIII", 0, time_ns >> 32, time_ns & 0xFFFFFFFF, 4, 4) + b"abcd"
        return struct.pack("<II", 6, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))

    other = struct.pack("<IIIII", 1, 20, 1, 0, 20)
    assert clock.shift(other + packet(2**32 - 1) + packet(5), 3) == other + packet(2**32 + 2) + packet(8)


def test_facts_are_judged(three: Manifest) -> None:
    text = "release 5.4.0-100\nmachine x86_64\nuid 1000\nlacks tc\nfree_bytes 1000\n"
    text += "nic 9c:dc:71:7b:2e:01 ens1f0 mlx5_core 0x15b3 0x1015 1500 up\nend facts\n"
    found = facts.parse(three.machines["h1"], text)
    bad = {what: words for level, what, words in found.findings() if level == "bad"}
    assert set(bad) == {"kernel", "root", "tools", "free space", "NIC"}
    assert "no interface has the address 9c:dc:71:7b:2f:01" in bad["NIC"]
    nics = [words for level, what, words in found.findings() if (level, what) == ("ok", "NIC")]
    assert "ConnectX-4" in nics[0]
    with pytest.raises(NodeError, match=r"^node h1: unfit \(kernel\): 5\.4\.0-100 x86_64 \(wanted 5\.12 or later\); "):
        found.demand(space=False)
    full = dataclasses.replace(
        found, release="6.1.0", uid=0, lacks=(), nics=dict.fromkeys(macs(found), found.nics[MAC])
    )
    with pytest.raises(NodeError, match=r"^node h1: no space: 0\.0 GiB"):
        full.demand(space=True)
    full.demand(space=False)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"uid": 1000}, "root"),
        ({"lacks": ("tc",)}, "tools"),
        ({"architecture": "aarch64"}, "machine"),
        ({"nics": {}}, "NIC"),
    ],
)
def test_a_node_that_is_unfit_is_refused(three: Manifest, change: dict[str, Any], what: str) -> None:
    text = "release 6.1.0\nmachine x86_64\nuid 0\nfree_bytes 10000000000\niommu_groups 0\nend facts\n"
    found = facts.parse(three.machines["h1"], text)
    nic = facts.Nic(name="ens1", driver="ice", pci_id="0x8086:0x1592", mtu=1500, state="up")
    fit = dataclasses.replace(found, nics=dict.fromkeys(macs(found), nic))
    fit.demand(space=True)
    with pytest.raises(NodeError) as raised:
        dataclasses.replace(fit, **change).demand(space=True)
    assert (raised.value.node, raised.value.verdict) == ("h1", f"unfit ({what})")


def test_an_iommu_is_asked_for_where_dpdk_needs_it(three: Manifest) -> None:
    text = "release 6.1.0\nmachine x86_64\nuid 0\nfree_bytes 10000000000\niommu_groups {}\n"
    text += "nic 9c:dc:71:7b:2e:01 ens1f0 ice 0x8086 0x1592 1500 up\nend facts\n"
    for groups, level in ((0, "note"), (7, "ok")):
        found = facts.parse(three.machines["h1"], text.format(groups)).findings()
        ((judged, words),) = [(how, words) for how, what, words in found if what == "NIC" and "ens1f0" in words]
        assert judged == level
        assert ("needs an IOMMU" in words) == (level == "note")


def macs(found: facts.Facts) -> list[str]:
    return [port.mac for port in found.machine.ports]
