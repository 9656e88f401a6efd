# SPDX-License-Identifier: MIT
"""Topo classes of Mininet, brought up: on every backend, and measured in virtual time."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, UDP

from testbed.backends.registry import backend
from testbed.errors import CapabilityError
from testbed.scenarios.mininet_python import mininet_python
from testbed.scenarios.mininet_topo import mininet_topo

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.conftest import Up

TOPO = """
from mininet.link import TCLink
from mininet.node import Node
from mininet.topo import Topo

class LinuxRouter(Node):
    pass

class MyTopo(Topo):
    def build(self, **opts):
        switch = self.addSwitch("s1")
        for name in ("h1", "h2"):
            self.addLink(self.addHost(name), switch, cls=TCLink, **opts)

class Cable(Topo):
    def build(self, **opts):
        self.addLink(self.addHost("h1"), self.addHost("h2"), cls=TCLink, **opts)

class Routed(Topo):
    def build(self):
        router = self.addHost("r1", cls=LinuxRouter, ip="192.168.1.1/24")
        self.addLink(self.addHost("h1", ip="192.168.1.100/24", defaultRoute="via 192.168.1.1"), router)
        self.addLink(
            self.addHost("h2", ip="172.16.0.100/12", defaultRoute="via 172.16.0.1"), router,
            params2={"ip": "172.16.0.1/12"},
        )
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    try:
        mininet_python()
    except CapabilityError as error:
        pytest.skip(str(error))
    path = tmp_path / "mytopo.py"
    path.write_text(TOPO)
    return path


def test_topo_is_a_network(up: Up, file: Path) -> None:
    network = up(mininet_topo(f"{file}:MyTopo"))
    for version in (4, 6):
        assert "1 received" in network["h1"].run(["ping", "-c1", network["h2"].address(version)]).stdout


def test_topo_with_a_router_has_its_own_addresses(up: Up, file: Path) -> None:
    network = up(mininet_topo(f"{file}:Routed"))
    assert "1 received" in network["h1"].run(["ping", "-c1", "172.16.0.100"]).stdout
    assert "default via 192.168.1.1 dev eth0" in network["h1"].run("ip route").stdout


@pytest.mark.mininet
def test_bandwidth_is_kept_on_the_hosts_kernel(up: Up, file: Path) -> None:
    network = up(mininet_topo(f"{file}:Cable,bw=8"))
    datagrams = network["h1"].socket(socket.AF_INET, socket.SOCK_DGRAM)
    begin = network.now()
    datagrams.source(1400, [begin] * 200, (network["h2"].address(), 9))  # 0.29 s at 8 Mbit/s
    network.sleep(1)
    times = [float(packet.time) for packet in network.link("h1-h2").packets("h2", lambda p: UDP in p)]
    rate = (len(times) - 1) * 1442 * 8 / (times[-1] - times[0])
    assert 7e6 < rate < 10e6


@pytest.mark.mininet
def test_delay_is_kept_on_the_hosts_kernel_or_refused_with_the_reason(up: Up, file: Path) -> None:
    wanted = mininet_topo(f"{file}:Cable,bw=8,delay=50ms")
    if "netem" not in backend("mininet").capabilities():
        reason = (
            r"^link 'h1-h2' asks for rate_bps=8000000, delay_ms=50\.0: that needs netem, which this machine's kernel"
        )
        with pytest.raises(CapabilityError, match=reason):
            up(wanted)
        return
    network = up(wanted)
    answer = network["h1"].run(["ping", "-c1", network["h2"].address()]).stdout
    assert float(re.search(r"time=([0-9.]+)", answer)[1]) >= 100  # type: ignore[index]  # fails without an answer


@pytest.mark.guest
def test_delay_and_bandwidth_of_tclinks_are_exact_in_virtual_time(up: Up, file: Path) -> None:
    network = up(mininet_topo(f"{file}:MyTopo,bw=10,delay=5ms"))
    network["h1"].run(["ping", "-c1", network["h2"].address()])
    sent, answered = (float(packet.time) for packet in network.link("h1-s1").packets("h1", lambda p: ICMP in p))
    # Two links each way; 98 bytes at 10 Mbit/s are 78.4 us on each.
    assert answered - sent == pytest.approx(4 * (5e-3 + 78.4e-6), abs=50e-6)


@pytest.mark.guest
def test_loss_of_a_tclink_takes_its_share_in_virtual_time(up: Up, file: Path) -> None:
    network = up(mininet_topo(f"{file}:Cable,loss=10"))
    datagrams = network["h1"].socket(socket.AF_INET, socket.SOCK_DGRAM)
    begin = network.now()
    datagrams.source(100, [begin + number / 1000 for number in range(2000)], (network["h2"].address(), 9))
    network.sleep(3)
    sent, arrived = (
        len(network.link("h1-h2").packets(end, lambda p: UDP in p and p[UDP].dport == 9)) for end in ("h1", "h2")
    )
    assert sent == 2000
    assert 1720 <= arrived <= 1880  # 1800, and six standard deviations of sqrt(2000 * 0.1 * 0.9)


@pytest.mark.guest
def test_jitter_of_a_tclink_spreads_arrivals_in_virtual_time(up: Up, file: Path) -> None:
    network = up(mininet_topo(f"{file}:Cable,delay=20ms,jitter=5ms"))
    datagrams = network["h1"].socket(socket.AF_INET, socket.SOCK_DGRAM)
    begin = network.now() + 1
    datagrams.source(100, [begin + number / 20 for number in range(200)], (network["h2"].address(), 9))
    network.sleep(12)
    sent, arrived = (
        [float(packet.time) for packet in network.link("h1-h2").packets(end, lambda p: UDP in p and p[UDP].dport == 9)]
        for end in ("h1", "h2")
    )
    delays = [there - here for here, there in zip(sent, arrived, strict=True)]  # none overtakes: 50 ms lie between two
    assert min(delays) >= 15e-3 - 1e-6  # uniform from delay - jitter to delay + jitter (tc-netem(8))
    assert max(delays) <= 25e-3 + 100e-6
    assert max(delays) - min(delays) > 8e-3, "200 of them leave less than 1 ms free at each end"


@pytest.mark.guest
def test_queue_of_a_tclink_holds_so_many_frames_in_virtual_time(up: Up, file: Path) -> None:
    network = up(mininet_topo(f"{file}:Cable,bw=1,max_queue_size=20"))
    network["h1"].run(["ping", "-c1", network["h2"].address()])  # no ARP in the queue
    datagrams = network["h1"].socket(socket.AF_INET, socket.SOCK_DGRAM)
    begin = network.now() + 1
    datagrams.source(1000, [begin] * 100, (network["h2"].address(), 9))
    network.sleep(5)
    arrived = network.link("h1-h2").packets("h2", lambda p: UDP in p and p[UDP].dport == 9)
    assert 20 <= len(arrived) <= 22, "the queue, and what is on its way already"
