# SPDX-License-Identifier: MIT
"""Short constructors of the rtnetlink messages that the cases send, and what differs between IPv4 and IPv6."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

import pytest
from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_GETLINK, RTM_GETNEIGH, RTM_GETROUTE, RTM_GETRULE
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

RTN_UNICAST = 1
RTPROT_STATIC = 4
RT_TABLE_MAIN = 254
FR_ACT_TO_TBL = 1
NUD_PERMANENT = 0x80
IFF_UP = 1


@dataclass(frozen=True)
class Family:
    """What differs between the two address families: documentation prefixes (RFC 5737, RFC 3849) and groups."""

    name: str
    number: int
    version: int
    prefix: str
    prefix_length: int
    spare: str
    address_length: int
    address_group: int
    route_group: int
    rule_group: int

    def host(self, number: int) -> str:
        """Give an address of the documentation prefix by its number, 1 to 65000."""
        return f"198.18.{number // 256}.{number % 256}" if self.version == 4 else f"2001:db8:99::{number:x}"


IPV4 = Family("ipv4", socket.AF_INET, 4, "198.51.100.0", 24, "192.0.2.7", 32, 5, 7, 8)
IPV6 = Family("ipv6", socket.AF_INET6, 6, "2001:db8:51::", 64, "2001:db8::7", 128, 9, 11, 19)

both_families = pytest.mark.parametrize("family", [IPV4, IPV6], ids=lambda family: family.name)


def message(kind: type[Any], number: int, attributes: dict[str, Any], **fields: int) -> Any:
    """Build a pyroute2 message of a type number, with header fields and attributes in the given order."""
    built = kind()
    built["header"]["type"] = number
    for name, value in fields.items():
        built[name] = value
    built["attrs"] = [(name, value) for name, value in attributes.items() if value is not None]
    return built


def link(number: int = RTM_GETLINK, *, index: int = 0, flags: int = 0, change: int = 0, **attributes: Any) -> Any:
    """Build a link message; attributes are named without their IFLA_ prefix."""
    named = {f"IFLA_{name}": value for name, value in attributes.items()}
    return message(ifinfmsg, number, named, index=index, flags=flags, change=change)


def address(family: Family, number: int = RTM_GETADDR, *, index: int = 0, ip: str | None = None) -> Any:
    """Build an address message: ``ip`` with a full-length prefix, without duplicate address detection."""
    given: dict[str, Any] = {} if ip is None else {"IFA_LOCAL": ip, "IFA_ADDRESS": ip, "IFA_FLAGS": 0x02}
    length = 0 if ip is None else family.address_length
    return message(ifaddrmsg, number, given, family=family.number, prefixlen=length, index=index)


def route(family: Family, number: int = RTM_GETROUTE, *, dst: str | None = None, **attributes: Any) -> Any:
    """Build a route message for a prefix of the family's usual length; attributes without their RTA_ prefix."""
    if dst is None and not attributes:
        return message(rtmsg, number, {}, family=family.number)
    fields = {"dst_len": family.prefix_length, "table": RT_TABLE_MAIN, "proto": RTPROT_STATIC, "type": RTN_UNICAST}
    named = {"RTA_DST": dst} | {f"RTA_{name}": value for name, value in attributes.items()}
    return message(rtmsg, number, named, family=family.number, **fields)


def neighbour(
    family: Family, number: int = RTM_GETNEIGH, *, index: int = 0, ip: str | None = None, mac: str | None = None
) -> Any:
    """Build a neighbour message; with a MAC it is a permanent one."""
    state = NUD_PERMANENT if mac else 0
    named = {"NDA_DST": ip, "NDA_LLADDR": mac}
    return message(ndmsg, number, named, family=family.number, ifindex=index, state=state)


def rule(
    family: Family, number: int = RTM_GETRULE, *, table: int = 0, priority: int | None = None, mark: int | None = None
) -> Any:
    """Build a rule message: packets with a mark look up a table."""
    named = {"FRA_PRIORITY": priority, "FRA_FWMARK": mark, "FRA_TABLE": table or None}
    action = FR_ACT_TO_TBL if table else 0
    return message(fibmsg, number, named, family=family.number, action=action)
