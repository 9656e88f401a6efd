# SPDX-License-Identifier: MIT
"""The flavors with a stack of their own, in nodes: with each other, and with the kernel's stack across a router."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import ARP

from testbed.backends.guest import Guest
from testbed.errors import CapabilityError
from testbed.libos.library import find_library

if TYPE_CHECKING:
    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network
    from tests.backends.conftest import Up


@pytest.fixture(params=["catpowder", "catnip"])
def stacked(request: pytest.FixtureRequest) -> str:
    try:
        find_library(request.param)
    except CapabilityError as error:
        pytest.skip(str(error))
    return str(request.param)


def connect(client: LibOS, server: LibOS) -> tuple[int, int]:
    """Connect two LibOSes: the client's queue, the server's."""
    listener = server.socket()
    server.bind(listener, (server.address, 80))
    server.listen(listener)
    accept = server.accept(listener)
    queue = client.socket()
    client.wait(client.connect(queue, (server.address, 80)))
    return queue, server.wait(accept).accepted


@pytest.mark.guest
def test_a_start_of_dpdk_is_short(up: Up) -> None:
    """Of DPDK's own there would be 5,700 system calls, each of which costs a guest 10 us of the host."""
    try:
        find_library("catnip")
    except CapabilityError as error:
        pytest.skip(str(error))
    network = up("pair")
    guest = network.session.peer
    assert isinstance(guest, Guest)
    before, libos, after = guest.page.read(), network["h1"].libos("catnip"), guest.page.read()
    assert before is not None
    assert after is not None
    assert after.syscalls - before.syscalls < 2500
    libos.stop()


def test_two_of_them_talk_and_the_kernels_stay_silent(up: Up, stacked: str) -> None:
    network = up("pair")
    a, b = network["h1"].libos(stacked), network["h2"].libos(stacked)
    out, back = connect(a, b)
    push = a.push(out, b"x" * 100_000)
    seen = b""
    while len(seen) < 100_000:
        seen += b.wait(b.pop(back)).data
    a.wait(push)
    assert seen == b"x" * 100_000
    a.close(out)
    assert b.wait(b.pop(back)).data == b""
    b.close(back)
    a.stop()
    b.stop()
    segments = [packet[TCP] for end in ("h1", "h2") for packet in network.link("h1-h2").packets(end) if TCP in packet]
    assert segments
    assert not [segment for segment in segments if "R" in segment.flags]


def test_one_talks_to_a_kernel(up: Up, stacked: str) -> None:
    network: Network = up("pair")
    a = network["h1"].libos(stacked)
    listener = network["h2"].socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((network["h2"].address(), 80))
    listener.listen(1)
    queue = a.socket()
    a.wait(a.connect(queue, (network["h2"].address(), 80)))
    peer, _ = listener.accept()
    a.wait(a.push(queue, b"hello kernel"))
    assert peer.recv(100) == b"hello kernel"
    peer.send(b"hello stack")
    assert a.wait(a.pop(queue)).data == b"hello stack"
    peer.close()
    assert a.wait(a.pop(queue)).data == b""
    a.close(queue)
    a.stop()
    asked = [packet[ARP] for packet in network.link("h1-h2").packets("h2") if ARP in packet]
    assert asked
