# SPDX-License-Identifier: MIT
"""sock_diag(7): the sockets of a node's processes, found by port, state and inode."""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST

from suites.netlink_socket.messages import Family, both_families
from suites.netlink_socket.netlink import NETLINK_SOCK_DIAG, Frame, Netlink, NetlinkError, header, parse_ack
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.backends.node import Node

pytestmark = three_in_a_row

SOCK_DIAG_BY_FAMILY, SOCK_DESTROY = 20, 21
TCP_ESTABLISHED, TCP_CLOSE, TCP_LISTEN = 1, 7, 10
ALL_STATES = 0xFFFFFFFF
PORT = 5201  # iperf3's own


@dataclass(frozen=True)
class Found:
    """What ``struct inet_diag_msg`` says of one socket (include/uapi/linux/inet_diag.h)."""

    state: int
    source_port: int
    destination_port: int
    source: str
    cookie: bytes
    inode: int

    @classmethod
    def parse(cls, frame: Frame) -> Found:
        """Take the 72 bytes apart: family, state, timer, retransmits, socket id, then five u32, the inode last."""
        family, state = struct.unpack_from("=BB", frame.payload)
        source_port, destination_port = struct.unpack_from("!HH", frame.payload, 4)
        source = socket.inet_ntop(family, frame.payload[8 : 12 if family == socket.AF_INET else 24])
        (inode,) = struct.unpack_from("=I", frame.payload, 68)
        return cls(state, source_port, destination_port, source, frame.payload[44:52], inode)


@pytest.fixture
def diag(middle: Node) -> Iterator[Netlink]:
    """Give a NETLINK_SOCK_DIAG socket in the router."""
    with Netlink(middle, NETLINK_SOCK_DIAG) as opened:
        yield opened


def request(family: int, protocol: int, *, states: int, ports: tuple[int, int] = (0, 0), cookie: bytes = b"") -> bytes:
    """Build ``struct inet_diag_req_v2``: family, protocol, extensions, pad, states, then the socket's identity."""
    identity = struct.pack("!HH32xI8s", *ports, 0, cookie or b"\xff" * 8)
    return struct.pack("=BBBxI", family, protocol, 0, states) + identity


def sockets(diag: Netlink, family: int, protocol: int, *, states: int = ALL_STATES) -> list[Found]:
    """Dump the sockets of a family and protocol in some states."""
    body = request(family, protocol, states=states)
    diag.socket.send(header(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, body))
    return [Found.parse(frame) for frame in diag.rest_of_dump().frames]


def inodes_of(node: Node, pid: int) -> set[int]:
    """Give the inodes of a process's sockets, as /proc shows them."""
    listed = node.run(["find", f"/proc/{pid}/fd", "-lname", "socket:*", "-printf", "%l\n"]).stdout
    return {int(line.removeprefix("socket:[").removesuffix("]")) for line in listed.splitlines()}


@both_families
def test_listening_process_is_found_by_port_and_inode(diag: Netlink, middle: Node, family: Family) -> None:
    """The listening TCP socket of an iperf3 server has its port, state LISTEN and the inode of the process's socket."""
    server = middle.spawn(["iperf3", "-s", f"-{family.version}"])
    middle.wait_listen(PORT)
    found = sockets(diag, family.number, socket.IPPROTO_TCP, states=1 << TCP_LISTEN)
    assert [(entry.source_port, entry.state) for entry in found] == [(PORT, TCP_LISTEN)]
    assert found[0].inode in inodes_of(middle, server.pid)
    server.kill()


@both_families
def test_udp_socket_is_found_by_address_and_port(diag: Netlink, middle: Node, family: Family) -> None:
    """A bound UDP socket is found with its own address and port, and is gone once it is closed."""
    ip = middle.address(family.version)
    bound = middle.socket(family.number, socket.SOCK_DGRAM)
    bound.bind((ip, 5353))
    [found] = sockets(diag, family.number, socket.IPPROTO_UDP)
    assert (found.source, found.source_port, found.state) == (ip, 5353, TCP_CLOSE)
    bound.close()
    assert sockets(diag, family.number, socket.IPPROTO_UDP) == []


@both_families
def test_established_connection_has_both_ports(diag: Netlink, middle: Node, left: Node, family: Family) -> None:
    """A connection is found in state ESTABLISHED with the ports of both its ends."""
    listener = middle.socket(family.number, socket.SOCK_STREAM)
    listener.bind((middle.address(family.version), 8080))
    listener.listen(1)
    client = left.socket(family.number, socket.SOCK_STREAM)
    client.bind((left.address(family.version), 40000))
    client.connect((middle.address(family.version), 8080))
    accepted, _ = listener.accept()
    [found] = sockets(diag, family.number, socket.IPPROTO_TCP, states=1 << TCP_ESTABLISHED)
    assert (found.source_port, found.destination_port) == (8080, 40000)
    for opened in (accepted, client, listener):
        opened.close()


def test_cookie_tells_a_socket_from_its_successor(diag: Netlink, middle: Node) -> None:
    """A request for one socket by ports finds it with its cookie, and gives ENOENT with another's."""
    listener = middle.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("0.0.0.0", 8080))
    listener.listen(1)
    [found] = sockets(diag, socket.AF_INET, socket.IPPROTO_TCP)

    def one(cookie: bytes) -> list[Frame]:
        body = request(socket.AF_INET, socket.IPPROTO_TCP, states=ALL_STATES, ports=(8080, 0), cookie=cookie)
        diag.socket.send(header(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, body))
        return diag.receive()

    assert Found.parse(one(found.cookie)[0]) == found
    [refusal] = one(bytes(reversed(found.cookie)))
    assert parse_ack(refusal).errno == errno.ENOENT
    listener.close()


def test_unknown_family_is_refused(diag: Netlink) -> None:
    """sock_diag of a family that has no handler gives ENOENT."""
    diag.socket.send(header(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, request(44, 6, states=ALL_STATES)))
    with pytest.raises(NetlinkError) as caught:
        diag.rest_of_dump()
    assert caught.value.errno == errno.ENOENT


def test_other_nodes_sockets_are_not_shown(diag: Netlink, left: Node) -> None:
    """Each node sees its own sockets only."""
    listener = left.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("0.0.0.0", 8080))
    listener.listen(1)
    assert sockets(diag, socket.AF_INET, socket.IPPROTO_TCP) == []
    with Netlink(left, NETLINK_SOCK_DIAG) as own:
        assert [entry.source_port for entry in sockets(own, socket.AF_INET, socket.IPPROTO_TCP)] == [8080]
    listener.close()
