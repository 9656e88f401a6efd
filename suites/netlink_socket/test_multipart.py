# SPDX-License-Identifier: MIT
"""Datagrams of several messages, in both directions (netlink(7), RFC 3549 section 2.3.2)."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR
from pyroute2.netlink.rtnl import RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE

from suites.netlink_socket import messages
from suites.netlink_socket.messages import IPV4, Family, both_families
from suites.netlink_socket.netlink import Netlink, split
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from testbed.backends.node import Node

pytestmark = three_in_a_row


def test_three_requests_in_one_datagram_get_three_answers_in_order(rtnl: Netlink) -> None:
    """Each message of a batch is answered under its own sequence number, in the order of the batch."""
    rtnl.send(*(messages.link(IFNAME=name) for name in ("eth1", "lo", "eth0")), flags=0)
    answers = [frame for _ in range(3) for frame in rtnl.receive()]
    assert [(frame.type, frame.sequence) for frame in answers] == [(RTM_NEWLINK, 1), (RTM_NEWLINK, 2), (RTM_NEWLINK, 3)]
    assert [frame.parsed().get_attr("IFLA_IFNAME") for frame in answers] == ["eth1", "lo", "eth0"]


@both_families
def test_error_inside_a_batch_leaves_the_rest_in_force(rtnl: Netlink, eth0: int, family: Family) -> None:
    """The message after a refused one is still carried out: a batch is no transaction."""
    first, last = family.host(1), family.host(2)
    rtnl.send(
        messages.address(family, RTM_NEWADDR, index=eth0, ip=first),
        messages.address(family, RTM_NEWADDR, index=9999, ip=family.spare),
        messages.address(family, RTM_NEWADDR, index=eth0, ip=last),
        flags=NLM_F_CREATE | NLM_F_ACK,
    )
    assert [ack.errno for ack in rtnl.acks(3)] == [0, errno.ENODEV, 0]
    present = {entry.get_attr("IFA_ADDRESS") for entry in rtnl.dump(messages.address(family)).parsed()}
    assert {first, last} <= present
    assert family.spare not in present


@both_families
def test_large_dump_comes_in_parts_and_ends_in_done(middle: Node, eth0: int, family: Family) -> None:
    """300 routes need several datagrams; every message has NLM_F_MULTI, NLMSG_DONE comes once, with status 0."""
    wanted = [family.host(number) for number in range(1, 301)]
    batch = [messages.route(family, RTM_NEWROUTE, dst=dst, OIF=eth0) for dst in wanted]
    for request in batch:
        request["dst_len"] = family.address_length
    with Netlink(middle, receive_bytes=4096) as rtnl:
        rtnl.send(*batch, flags=NLM_F_CREATE)
        dump = rtnl.dump(messages.route(family))
    assert dump.datagrams > 3
    assert all(frame.flags & NLM_F_MULTI for frame in [*dump.frames, dump.done])
    assert dump.done.type == NLMSG_DONE
    assert struct.unpack_from("=i", dump.done.payload) == (0,)
    found = [entry.get_attr("RTA_DST") for entry in dump.parsed()]
    assert [dst for dst in found if dst in set(wanted)] == wanted


def test_encoded_address_message_has_the_bytes_of_the_manual(rtnl: Netlink, eth0: int) -> None:
    """NEWADDR on the wire: nlmsghdr, ifaddrmsg, attributes with length, type and padding (rtnetlink(7))."""
    request = messages.address(IPV4, RTM_NEWADDR, index=eth0, ip="192.0.2.7")
    address = socket.inet_aton("192.0.2.7")
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, eth0)
    body += struct.pack("=HH4s", 8, 2, address) + struct.pack("=HH4s", 8, 1, address) + struct.pack("=HHI", 8, 8, 2)
    sent = rtnl.encode(request, NLM_F_ACK)
    assert sent == struct.pack("=IHHII", 16 + len(body), 20, 0x5, 2, 0) + body
    rtnl.socket.send(sent)
    [ack] = rtnl.acks(1)
    assert ack.errno == 0
    assert ack.echoed == sent[:16]


def test_noop_between_requests_is_skipped(rtnl: Netlink) -> None:
    """A control message (type below NLMSG_MIN_TYPE) is no request: it is acknowledged and nothing else happens."""
    noop = struct.pack("=IHHII", 16, 1, 0x1 | NLM_F_ACK, 77, 0)
    rtnl.socket.send(noop + rtnl.encode(messages.link(IFNAME="lo"), 0))
    frames = [*rtnl.receive(), *rtnl.receive()]
    assert [(frame.type, frame.sequence) for frame in frames] == [(NLMSG_ERROR, 77), (RTM_NEWLINK, 1)]


def test_too_small_a_buffer_truncates_and_says_so(middle: Node) -> None:
    """A receive into too few bytes sets MSG_TRUNC and drops the rest; MSG_PEEK leaves it whole."""
    with Netlink(middle) as opened:
        opened.send(messages.link(IFNAME="eth0"), flags=0)
        _, flags, _ = opened.socket.recvmsg(64, socket.MSG_PEEK)
        assert flags & socket.MSG_TRUNC
        whole = opened.socket.recv(1 << 16, socket.MSG_PEEK)
        part, flags, _ = opened.socket.recvmsg(64)
        assert flags & socket.MSG_TRUNC
        assert whole.startswith(part)
        assert len(part) == 64
        assert [frame.type for frame in split(whole)] == [RTM_NEWLINK]
        opened.send(messages.link(IFNAME="lo"), flags=0)
        assert [frame.sequence for frame in opened.receive()] == [2]
