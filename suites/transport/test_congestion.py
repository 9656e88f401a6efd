# SPDX-License-Identifier: MIT
"""Every congestion control of the kernel moves a transfer through a clean and a lossy bottleneck (tcp(7))."""

from __future__ import annotations

import statistics
from socket import IPPROTO_TCP
from typing import TYPE_CHECKING

import pytest

from suites.common.ip_wire import ECT_0, NOT_ECT
from suites.common.tcp_wire import ACK, CWR, ECE, SYN
from suites.transport.evidence import Deed, check_deeds, deeds
from suites.transport.scenario import DELAY_S, RATE_BPS, both_versions, bottleneck
from suites.transport.tcp_options import NODELAY, congestion_window, retransmissions, slow_start_limit

if TYPE_CHECKING:
    from suites.common.transfer import Outcome
    from suites.transport.hosts import Hosts
    from testbed.backends.network import Network

pytestmark = [bottleneck, pytest.mark.requires("netem")]

# All of CONFIG_TCP_CONG_* of testbed's kernel; tests/suites/test_congestion_controls.py keeps it so.
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
TCP_CONGESTION = 13

# Frames that get lost, payload in bytes, and how much slower than the bottleneck a control may be. Of some 400 segments
# all arrive with a chance of 1 to 200,000: what is called lossy was.
CLEAN, LOSSY = (0.0, 300_000, 4), (0.03, 600_000, 50)
# The queue of the bottleneck takes 120 ms; no control that looks at delays may leave it so long.
QUEUE_PACKETS = 100
SHORT_S, LONG_S = 0.020, 0.040


def available(network: Network) -> list[str]:
    """Give the names of the controls that the kernel has, in alphabetical order."""
    return sorted(network["h1"].read("/proc/sys/net/ipv4/tcp_available_congestion_control").decode().split())


def test_list_is_that_of_the_kernel(network: Network) -> None:
    """No control of the kernel is without its test; one that it lacks is a skip of that test."""
    if not network.virtual_time:
        pytest.skip("the host's kernel has controls of its own, as modules that are loaded on demand")
    found = available(network)
    assert "reno" in found
    others = sorted(set(found) - set(CONTROLS))
    if others:
        pytest.skip(f"this suite has no case for {', '.join(others)}")


def needs(hosts: Hosts, control: str) -> None:
    """Skip the case where the kernel lacks a control."""
    if control not in available(hosts.network):
        pytest.skip(f"the kernel has no congestion control {control!r}")


def transfer(hosts: Hosts, nbytes: int, control: str, server: str | None = None) -> Outcome:
    """Transfer some bytes by a control; the server uses the same, which DCTCP needs, unless another one is given."""
    receiver = ["--congestion", server or control]
    return hosts.start("tcp", nbytes, sender=["--congestion", control], receiver=receiver).finish()[0]


def as_agreed(control: str, hosts: Hosts) -> str:
    """Give the name that a control has in the end: a lost SYN is sent again without ECN (RFC 3168, 6.1.1.1)."""
    answer = next(segment for segment in hosts.at_client() if segment.flags & (SYN | ACK) == SYN | ACK)
    return "dctcp-reno" if control == "dctcp" and not answer.flags & ECE else control


@both_versions
@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("link", ["clean", "lossy"])
@pytest.mark.real_time_budget(10)
def test_control_moves_a_transfer(hosts: Hosts, control: str, link: str) -> None:
    """All bytes arrive, by this control; a clean bottleneck is used well, and nobody is faster than it is."""
    needs(hosts, control)
    loss_ratio, nbytes, slower = {"clean": CLEAN, "lossy": LOSSY}[link]
    hosts.network.link("h1-h2").set(loss_ratio=loss_ratio, queue_packets=QUEUE_PACKETS)
    sent = transfer(hosts, nbytes, control)
    assert sent.congestion == (control if link == "clean" else as_agreed(control, hosts))
    assert RATE_BPS / slower < sent.goodput_bps < RATE_BPS
    if link == "lossy":
        check_deeds(hosts.network, link)
    else:
        assert deeds(hosts.network) <= {Deed.MISSING}  # by the queue, which slow start may fill


@pytest.mark.parametrize("control", ["bbr", "cdg", "nv", "vegas"])
@pytest.mark.real_time_budget(10)
def test_control_by_delay_keeps_the_queue_short(hosts: Hosts, control: str) -> None:
    """BBR, CDG, NV and Vegas look at round-trip times: in the second half of a transfer the queue is nearly empty."""
    needs(hosts, control)
    assert queueing_s(hosts, control) < SHORT_S


@pytest.mark.parametrize("control", ["cubic", "reno", "scalable"])
@pytest.mark.real_time_budget(10)
def test_control_by_loss_fills_the_queue(hosts: Hosts, control: str) -> None:
    """CUBIC, Reno and Scalable TCP go on until something is lost: the queue of the bottleneck is long."""
    needs(hosts, control)
    assert queueing_s(hosts, control) > LONG_S
    assert Deed.MISSING in deeds(hosts.network)


def queueing_s(hosts: Hosts, control: str) -> float:
    """Transfer some megabytes; give how long half of the later segments waited before the bottleneck, in seconds."""
    hosts.network.link("h1-h2").set(queue_packets=QUEUE_PACKETS)
    sent = transfer(hosts, 3_000_000, control)
    assert sent.congestion == control
    left: dict[int, float] = {}  # when each segment was first sent
    for segment in hosts.sent_by_client():
        left.setdefault(segment.sequence, segment.time_s)
    arrived = [segment for segment in hosts.at_server() if segment.payload_bytes]
    flights = [segment.time_s - left.pop(segment.sequence) for segment in arrived if segment.sequence in left]
    return statistics.median(flights[len(flights) // 2 :]) - DELAY_S


@both_versions
@pytest.mark.parametrize("server", ["dctcp", "cubic"])
def test_dctcp_needs_a_peer_that_answers_to_marks(hosts: Hosts, server: str) -> None:
    """Data is marked as ECN-capable only if the server uses DCTCP too; else the client falls back to Reno's ways."""
    needs(hosts, "dctcp")
    sent = transfer(hosts, 100_000, "dctcp", server)
    syn, *others = hosts.sent_by_client()
    assert (syn.flags, syn.ecn) == (SYN | ECE | CWR, ECT_0)
    marks = {segment.ecn for segment in others if segment.payload_bytes}
    assert (sent.congestion, marks) == {"dctcp": ("dctcp", {ECT_0}), "cubic": ("dctcp-reno", {NOT_ECT})}[server]


def test_default_is_cubic_and_an_option_changes_it(hosts: Hosts) -> None:
    """TCP_CONGESTION tells and sets the control of one socket; an unknown name is ENOENT."""
    client, server = hosts.connect()
    assert client.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16) == b"cubic".ljust(16, b"\0")
    client.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"reno")
    assert client.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16) == b"reno".ljust(16, b"\0")
    assert server.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16) == b"cubic".ljust(16, b"\0")
    with pytest.raises(FileNotFoundError):
        client.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"no-such")


NO_LIMIT = 0x7FFFFFFF  # TCP_INFINITE_SSTHRESH
LEFT = {"reno": 5, "cubic": 7, "veno": 8, "scalable": 9, "bbr": NO_LIMIT}


@both_versions
@pytest.mark.parametrize(("control", "left"), list(LEFT.items()), ids=list(LEFT))
def test_loss_shrinks_the_window_by_the_controls_own_factor(hosts: Hosts, control: str, left: int) -> None:
    """Of a window of ten segments a lost one leaves what the control says.

    Half with Reno (RFC 5681, section 3.1), 0.7 with CUBIC (RFC 9438, 4.6), four fifths with Veno before a short queue,
    all but an eighth with Scalable TCP (``net/ipv4/tcp_veno.c``, ``tcp_scalable.c``); BBR sets no limit at all.
    """
    needs(hosts, control)
    client, server = hosts.connect(client=[NODELAY, (IPPROTO_TCP, TCP_CONGESTION, control.encode())])
    before = congestion_window(client)
    for number in range(6):
        hosts.black_hole(on=number == 0)
        client.send(bytes(1000))
    server.recv_exactly(6000)
    hosts.network.sleep(1.0)
    assert retransmissions(client) == 1
    assert (before, slow_start_limit(client)) == (10, left)
