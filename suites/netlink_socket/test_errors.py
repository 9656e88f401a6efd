# SPDX-License-Identifier: MIT
"""How the kernel refuses: plain, capped and extended acknowledgements, and requests that are cut short."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest
from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from suites.common.kernel import since
from suites.netlink_socket import messages
from suites.netlink_socket.messages import IPV4, IPV6, Family, both_families
from suites.netlink_socket.netlink import (
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    Ack,
    Netlink,
    NetlinkError,
    header,
)
from suites.netlink_socket.scenario import three_in_a_row

if TYPE_CHECKING:
    from testbed.backends.network import Network
    from testbed.backends.node import Node

pytestmark = three_in_a_row

HEADER_BYTES = 16


def refuse(rtnl: Netlink, data: bytes) -> Ack:
    """Send raw bytes and give the one answer, which must be an error."""
    rtnl.socket.send(data)
    [ack] = rtnl.acks(1)
    assert ack.errno != 0
    return ack


def bad_address(rtnl: Netlink) -> bytes:
    """Build a NEWADDR for a device that does not exist."""
    return rtnl.encode(messages.address(IPV4, RTM_NEWADDR, index=9999, ip="192.0.2.7"), NLM_F_ACK | NLM_F_CREATE)


def test_error_echoes_the_whole_request(rtnl: Netlink) -> None:
    """An error carries the request that caused it, byte for byte (netlink(7), struct nlmsgerr)."""
    request = bad_address(rtnl)
    ack = refuse(rtnl, request)
    assert (ack.errno, ack.echoed, ack.flags & NLM_F_CAPPED) == (errno.ENODEV, request, 0)


def test_capped_error_echoes_the_header_alone(rtnl: Netlink) -> None:
    """With NETLINK_CAP_ACK only the header of the request comes back, marked NLM_F_CAPPED."""
    rtnl.option(NETLINK_CAP_ACK)
    request = bad_address(rtnl)
    ack = refuse(rtnl, request)
    assert (ack.errno, ack.echoed, ack.flags & NLM_F_CAPPED) == (errno.ENODEV, request[:HEADER_BYTES], NLM_F_CAPPED)


@pytest.mark.parametrize("capped", [False, True], ids=["whole", "capped"])
def test_extended_ack_says_why(network: Network, rtnl: Netlink, *, capped: bool) -> None:
    """With NETLINK_EXT_ACK the error has a text, after the echo of the request whether that is whole or capped."""
    since(network, (6, 12), "has no text for an address on an unknown device")
    rtnl.option(NETLINK_EXT_ACK)
    rtnl.option(NETLINK_CAP_ACK, int(capped))
    ack = refuse(rtnl, bad_address(rtnl))
    assert ack.flags & NLM_F_ACK_TLVS
    assert ack.text == "ipv4: Device not found"


def test_without_the_option_there_is_no_text(rtnl: Netlink) -> None:
    """A socket that did not ask gets no attributes: programs of old are not surprised."""
    ack = refuse(rtnl, bad_address(rtnl))
    assert (ack.flags & NLM_F_ACK_TLVS, ack.attributes) == (0, {})


@pytest.mark.parametrize(
    ("family", "number", "text"),
    [
        (IPV4, errno.ENETUNREACH, "Nexthop has invalid gateway"),
        (IPV6, errno.EINVAL, "Gateway can not be a local address"),
    ],
    ids=["ipv4", "ipv6"],
)
def test_refused_gateway_is_explained(rtnl: Netlink, middle: Node, family: Family, number: int, text: str) -> None:
    """A gateway that cannot be one is refused with words: out of reach (IPv4), the node's own address (IPv6)."""
    rtnl.option(NETLINK_EXT_ACK)
    gateway = family.spare if family is IPV4 else middle.address(family.version)
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(messages.route(family, RTM_NEWROUTE, dst=family.prefix, GATEWAY=gateway), NLM_F_CREATE)
    assert caught.value.errno == number
    assert caught.value.ack.text.startswith(text)


@both_families
def test_offending_attribute_is_pointed_at(rtnl: Netlink, family: Family) -> None:
    """An attribute that is too short is refused with its offset in the request (NLMSGERR_ATTR_OFFS)."""
    rtnl.option(NETLINK_EXT_ACK)
    body = struct.pack("=BBBBBBBBI", family.number, family.prefix_length, 0, 0, 254, 4, 0, 1, 0)
    good = struct.pack("=HHI", 8, 6, 100)  # RTA_PRIORITY
    bad = struct.pack("=HHH2x", 6, 4, 1)  # RTA_OIF of two bytes
    ack = refuse(rtnl, header(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, body + good + bad))
    assert ack.errno in {errno.EINVAL, errno.ERANGE}
    assert ack.offset == HEADER_BYTES + len(body) + len(good)
    assert ack.text


@both_families
def test_wrong_prefix_length_is_refused(rtnl: Netlink, family: Family) -> None:
    """A prefix longer than the family's addresses is EINVAL."""
    request = messages.message(
        rtmsg, RTM_NEWROUTE, {"RTA_DST": family.prefix}, family=family.number, dst_len=family.address_length + 1
    )
    with pytest.raises(NetlinkError) as caught:
        rtnl.request(request, NLM_F_CREATE)
    assert caught.value.errno == errno.EINVAL


def test_request_shorter_than_its_struct_is_refused(rtnl: Netlink) -> None:
    """A NEWADDR whose payload ends inside ``struct ifaddrmsg`` is EINVAL, and nothing is changed."""
    before = rtnl.dump(messages.address(IPV4)).payloads()
    ack = refuse(rtnl, header(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, b"\x02\x18"))
    assert ack.errno == errno.EINVAL
    assert rtnl.dump(messages.address(IPV4)).payloads() == before


def test_length_beyond_the_datagram_is_dropped(rtnl: Netlink) -> None:
    """A header that promises more bytes than were sent is no message: no answer, and the socket goes on working."""
    whole = rtnl.encode(messages.link(IFNAME="lo"), NLM_F_ACK)
    rtnl.socket.send(struct.pack("=I", len(whole) + 64) + whole[4:])
    assert rtnl.pending() == []
    [frame] = rtnl.request(messages.link(IFNAME="lo"))
    assert frame.parsed().get_attr("IFLA_IFNAME") == "lo"


def test_datagram_shorter_than_a_header_is_dropped(rtnl: Netlink) -> None:
    """Fewer than 16 bytes are no message either."""
    rtnl.socket.send(bytes(HEADER_BYTES - 1))
    assert rtnl.pending() == []


def test_message_without_request_flag_is_ignored(rtnl: Netlink) -> None:
    """The kernel answers requests only: without NLM_F_REQUEST nothing is done and no error comes."""
    rtnl.socket.send(header(RTM_DELADDR, 0, bytes(8)))
    assert rtnl.pending() == []


def test_unknown_message_type_is_refused(rtnl: Netlink) -> None:
    """A type beyond the table of rtnetlink is EOPNOTSUPP."""
    assert refuse(rtnl, header(4000, NLM_F_REQUEST | NLM_F_ACK, bytes(16))).errno == errno.EOPNOTSUPP


def test_unprivileged_process_reads_but_does_not_write(middle: Node) -> None:
    """Without CAP_NET_ADMIN a GET works and a NEW is EPERM."""
    drop = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    shown = middle.run([*drop, "ip", "-o", "link", "show", "eth0"])
    assert "eth0" in shown.stdout
    refused = middle.run([*drop, "ip", "link", "set", "eth0", "mtu", "1300"], check=False)
    assert refused.returncode == 2
    assert "Operation not permitted" in refused.stderr


def test_link_request_for_nothing_is_refused(rtnl: Netlink) -> None:
    """A GETLINK that names no interface at all is EINVAL."""
    assert refuse(rtnl, header(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, bytes(16))).errno == errno.EINVAL
