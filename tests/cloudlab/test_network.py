# SPDX-License-Identifier: MIT
"""Networks over real OpenSSH servers: what a test sees of them, and that nodes are left as they were."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

from testbed.errors import CapabilityError
from testbed.scenarios.registry import scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.backends.cloudlab.backend import CloudlabBackend
    from tests.cloudlab.rig import Box, Rig

LAN = scenario("lan", n=2)


def state(box: Box) -> tuple[str, ...]:
    """Give all of a node that a run may change, but for the store."""
    words = (
        ("ip", "-br", "address"),
        ("ip", "route"),
        ("tc", "qdisc"),
        ("tc", "filter", "show", "dev", "exp0", "ingress"),
    )
    live = box.enter("find", "/var/tmp", "-path", "*/live/*")
    return (*(box.enter(*one) for one in words), box.enter("ethtool", "-k", "exp0"), live)


def test_frames_cross_real_links_and_the_node_is_left_as_it_was(rig: Rig, make: Callable[..., CloudlabBackend]) -> None:
    before = [state(box) for box in rig.boxes.values()]
    with make().up(LAN) as network:
        h1, h2 = network["h1"], network["h2"]
        assert h1.interfaces[0].mac == rig.boxes["h1"].macs["exp0"]
        assert [state(box) for box in rig.boxes.values()] != before
        assert "2 received" in h1.run(["ping", "-c2", "-i0.2", h2.address()]).stdout
        echo = {name: [one for one in network.link(f"{name}-s1").packets(name) if ICMP in one] for name in ("h1", "h2")}
        assert [len(found) for found in echo.values()] == [4, 4]
        # One clock for all machines, as well as ssh lets us know: a request is seen where it was sent first.
        assert abs(float(echo["h2"][0].time - echo["h1"][0].time)) < 0.5
        assert 0 <= float(echo["h1"][0].time) <= network.now()
    assert [state(box) for box in rig.boxes.values()] == before


def test_files_processes_and_links_of_each_machine_are_its_own(make: Callable[..., CloudlabBackend]) -> None:
    with make().up(LAN) as network:
        h1, h2 = network["h1"], network["h2"]
        h1.write("/tmp/word", "here")
        assert h1.read("/tmp/word") == b"here"
        with pytest.raises(FileNotFoundError):
            h2.read("/tmp/word")
        program = Path("/bin/true").read_bytes() + bytes(100_000)  # long enough for the nodes' stores
        h2.write("/opt/own", program, 0o755)
        assert h2.run("/opt/own").returncode == 0
        sleeper = h2.spawn(["sleep", "60"])
        sleeper.kill()
        assert sleeper.wait().returncode == -15
        network.link("h2-s1").cut()
        assert h1.run(["ping", "-c1", "-W0.3", h2.address()], check=False).returncode == 1
        network.link("h2-s1").restore()
        # The kernel's news of the carrier, without which nothing is sent, come a moment later.
        assert h1.run(["ping", "-c1", "-W10", h2.address()]).returncode == 0
        frame = Ether(dst="ff:ff:ff:ff:ff:ff", src=h1.interfaces[0].mac) / IP(src="10.0.1.1", dst="10.0.1.255") / ICMP()
        h1.inject("eth0", frame, direction="from")
        network.sleep(0.2)
        assert any(bytes(frame) == bytes(one)[: len(frame)] for one in network.link("h2-s1").packets("h2"))
        with pytest.raises(CapabilityError, match=r"^s1 is a switch"):
            network["s1"].run("true")


def test_a_rate_that_is_asked_for_is_put_on(make: Callable[..., CloudlabBackend]) -> None:
    with make().up(scenario("lan", n=2, rate_bps=2_000_000)) as network:
        h1, h2 = network["h1"], network["h2"]
        h2.spawn(["iperf3", "-s", "-1"])
        h2.wait_listen(5201)
        report = h1.run(["iperf3", "-J", "-c", h2.address(), "-n", "512K"]).stdout
        rate_bps = json.loads(report)["end"]["sum_received"]["bits_per_second"]
        assert 1_000_000 < rate_bps < 2_000_000


def test_impairments_that_the_kernel_lacks_are_a_skip(make: Callable[..., CloudlabBackend]) -> None:
    backend = make()
    if "netem" in backend.capabilities():
        with backend.up(scenario("lan", n=2, delay_ms=20)) as network:
            h1 = network["h1"]
            begin = time.monotonic()
            h1.run(["ping", "-c1", network["h2"].address()])
            assert time.monotonic() - begin > 0.08
    else:
        with pytest.raises(CapabilityError, match="need netem, which this kernel lacks"):
            backend.up(scenario("lan", n=2, delay_ms=20))


def test_a_scenario_that_the_experiment_cannot_carry_is_a_skip(make: Callable[..., CloudlabBackend]) -> None:
    with pytest.raises(CapabilityError, match=r"needs the nodes h1, r1, h2; the manifest has no r1"):
        make().up(scenario("chain", n=3))


def test_a_nic_with_somebody_elses_filters_is_left_alone(rig: Rig, make: Callable[..., CloudlabBackend]) -> None:
    box = rig.boxes["h1"]
    box.enter("tc", "qdisc", "add", "dev", "exp0", "clsact")
    before = state(box)
    try:
        with pytest.raises(CapabilityError, match="busy exp0"):
            make().up(LAN)
        assert state(box) == before
    finally:
        box.enter("tc", "qdisc", "del", "dev", "exp0", "clsact")
