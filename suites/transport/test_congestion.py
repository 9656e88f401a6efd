# SPDX-License-Identifier: MIT
"""Every congestion control of the kernel moves a transfer through a clean and a lossy bottleneck (tcp(7))."""

from __future__ import annotations

from socket import IPPROTO_TCP
from typing import TYPE_CHECKING

import pytest

from suites.transport.scenario import RATE_BPS, bottleneck
from suites.transport.tcp_options import NODELAY, congestion_window, retransmissions, slow_start_limit

if TYPE_CHECKING:
    from suites.transport.hosts import Hosts
    from testbed.backends.network import Network

pytestmark = [bottleneck, pytest.mark.requires("netem")]

# All of CONFIG_TCP_CONG_* of testbed's kernel; test_list_is_that_of_the_kernel keeps it so.
CONTROLS = (
    "bbr",
    "bic",
    "cdg",
    "cubic",
    "dctcp",
    "highspeed",
    "htcp",
    "hybla",
    "illinois",
    "lp",
    "nv",
    "reno",
    "scalable",
    "vegas",
    "veno",
    "westwood",
    "yeah",
)
BYTES = 300_000
TCP_CONGESTION = 13


def available(network: Network) -> list[str]:
    """Give the names of the controls that the kernel has, in alphabetical order."""
    return sorted(network["h1"].read("/proc/sys/net/ipv4/tcp_available_congestion_control").decode().split())


def test_list_is_that_of_the_kernel(network: Network) -> None:
    """No control of the kernel is without its test, and none is listed that the kernel lacks."""
    if not network.virtual_time:
        pytest.skip("the host's kernel has controls of its own, as modules that are loaded on demand")
    assert available(network) == list(CONTROLS)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize(("link", "loss_ratio"), [("clean", 0.0), ("lossy", 0.01)], ids=["clean", "lossy"])
@pytest.mark.real_time_budget(10)
def test_control_moves_a_transfer(hosts: Hosts, control: str, link: str, loss_ratio: float) -> None:
    """All bytes arrive; a clean bottleneck is used well, and no control sends faster than the bottleneck is."""
    if control not in available(hosts.network):
        pytest.skip(f"the kernel has no congestion control {control!r}")
    hosts.network.link("h1-h2").set(loss_ratio=loss_ratio, queue_packets=50)
    sent, _ = hosts.start("tcp", BYTES, sender=["--congestion", control]).finish()
    assert sent.goodput_bps < RATE_BPS
    assert sent.goodput_bps > (RATE_BPS / 4 if link == "clean" else RATE_BPS / 50)


def test_default_is_cubic_and_an_option_changes_it(hosts: Hosts) -> None:
    """TCP_CONGESTION tells and sets the control of one socket; an unknown name is ENOENT."""
    client, server = hosts.connect()
    assert client.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16) == b"cubic".ljust(16, b"\0")
    client.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"reno")
    assert client.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16) == b"reno".ljust(16, b"\0")
    assert server.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16) == b"cubic".ljust(16, b"\0")
    with pytest.raises(FileNotFoundError):
        client.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"no-such")


@pytest.mark.parametrize(("control", "left"), [("reno", 1 / 2), ("cubic", 717 / 1024)], ids=["reno", "cubic"])
def test_loss_shrinks_the_window_by_the_controls_own_factor(hosts: Hosts, control: str, left: float) -> None:
    """A lost segment leaves half of the window with Reno (RFC 5681, section 3.1), 0.7 with CUBIC (RFC 9438, 4.6)."""
    client, server = hosts.connect(client=[NODELAY, (IPPROTO_TCP, TCP_CONGESTION, control.encode())])
    before = congestion_window(client)
    for number in range(6):
        hosts.black_hole(on=number == 0)
        client.send(bytes(1000))
    server.recv_exactly(6000)
    hosts.network.sleep(1.0)
    assert retransmissions(client) == 1
    assert slow_start_limit(client) == int(before * left)
