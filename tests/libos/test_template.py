# SPDX-License-Identifier: MIT
"""The configuration of a node that our LibOSes read: what a test changes reaches it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from testbed.cli.workload import LOOPBACK
from testbed.libos.library import Library

INTERFACE = {**LOOPBACK, "interface": "eth0", "address": "10.0.0.1", "prefix_bits": 24, "mtu": 1500, "inetstack": {}}


def rendered(**changes: object) -> dict[str, Any]:
    """Give the configuration of a node with an interface, with some values changed."""
    library = Library(name="catnip", file=Path("libcatnip.so"), abilities=frozenset({"user-stack"}))
    document = YAML(typ="safe").load(library.render({**INTERFACE, **changes}))
    assert isinstance(document, dict)
    return document


def test_dpdk_gets_a_port_on_the_interface() -> None:
    words = rendered()["dpdk"]["eal_init"]
    assert words[-1] == "--vdev=net_af_packet0,iface=eth0,framesz=1600,blocksz=102400"
    assert "--no-huge" in words


def test_frames_longer_than_a_slot_get_the_driver_s_own_slots() -> None:
    assert rendered(mtu=9000)["dpdk"]["eal_init"][-1] == "--vdev=net_af_packet0,iface=eth0"


def test_words_of_a_test_s_own_are_dpdk_s() -> None:
    words = ["-a", "0000:3b:00.0", '--vdev=net_null0,"quoted"']
    assert rendered(eal_init=words)["dpdk"]["eal_init"] == words
