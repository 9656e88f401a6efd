# SPDX-License-Identifier: MIT
"""The two hosts that a tunnel joins: one run of ``ip -batch`` makes an end of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.ip6_tunnels.tunnels import INNER4, INNER6, Tunnel

if TYPE_CHECKING:
    from testbed.backends.network import Network
    from testbed.backends.node import Node

# What ip(8) says of a kernel without a kind of device, or without the generic netlink family that makes it.
LACKS = ("Unknown device type", "Operation not supported", "No such file or directory", "genl family not found")

over_a_router = pytest.mark.scenario("chain", delay_ms=1)


def configure(node: Node, commands: str) -> None:
    """Let a node run lines of ip(8), all in one process; skip the case where the kernel lacks what they ask for."""
    done = node.run(["ip", "-batch", "-"], input=commands, check=False)
    if any(words in done.stderr for words in LACKS):
        pytest.skip(f"this kernel cannot make the tunnel: {done.stderr.splitlines()[0]}")
    done.check()


def join(network: Network, near: Tunnel, far: Tunnel | None = None, *, ends: tuple[str, str] = ("h1", "h2")) -> None:
    """Make both ends of a tunnel, with the addresses ``10.99.0.N`` and ``fd99::N``, N = 1 for the first node.

    Args:
        network: Where.
        near: What the first node makes.
        far: What the second node makes; None is the same.
        ends: The nodes.
    """
    nodes = [network[name] for name in ends]
    for number, (node, peer, tunnel) in enumerate(zip(nodes, nodes[::-1], (near, far or near), strict=True), start=1):
        local, remote = node.address(tunnel.over), peer.address(tunnel.over)
        lines = [tunnel.make.format(local=local, remote=remote), "link set t0 up"]
        if 4 in tunnel.carries:
            lines.append(f"address add {INNER4.format(number)}/24 dev t0")
        if 6 in tunnel.carries:
            lines.append(f"address add {INNER6.format(number)}/64 dev t0 nodad")
        configure(node, "\n".join(lines) + "\n")


def inner_address(version: int, number: int) -> str:
    """Give the address inside of the tunnel of its first (1) or second (2) node."""
    return (INNER4 if version == 4 else INNER6).format(number)


def received(node: Node, target: str, *options: str, count: int = 3) -> int:
    """Ping a target and give how many replies came."""
    done = node.run(["ping", f"-c{count}", "-W1", *options, target], check=False)
    [line] = [line for line in done.stdout.splitlines() if " received" in line]
    return int(line.split(", ")[1].split()[0])
