# SPDX-License-Identifier: MIT
"""From a topology to interfaces with addresses: what a topology leaves open is derived here, always in the same way."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.scenarios.topology import Topology

_SMALL = 250  # hosts up to which a subnet is a /24
_IPV6_MTU = 1280  # RFC 8200, section 5
_UNITS = 1 << 16  # a unit is one /24 of 10.0.0.0/8 and the fd00:: prefix of the same number


@dataclass(frozen=True, kw_only=True)
class Interface:
    """One end of a link as its node sees it.

    Args:
        node: Name of the node.
        name: Name in the node: ``eth0``, ``eth1``, ...
        link: Index of the link in the topology.
        end: 0 for the link's ``a``, 1 for its ``b``.
        mac: Ethernet address.
        mtu: Largest packet in bytes.
        segment: Number of the subnet, from 0, in the order of the links; all links joined by switches are one.
        addresses: Addresses with prefix length, IPv4 first; empty on a switch.
    """

    node: str
    name: str
    link: int
    end: int
    mac: str
    mtu: int
    segment: int
    addresses: tuple[str, ...] = ()

    def address(self, version: int) -> str | None:
        """Give the first address of an IP version, without its prefix length, or None."""
        for text in self.addresses:
            found = ipaddress.ip_interface(text)
            if found.version == version:
                return str(found.ip)
        return None


def mac_address(link: int, end: int) -> str:
    """Give the Ethernet address of a link's end: ``02:00:00:00:LL:LE``, twice the link's number plus the end."""
    number = (link << 1) | end
    return ":".join(f"{byte:02x}" for byte in ((0x02 << 40) | number).to_bytes(6, "big"))


def interfaces(topology: Topology) -> tuple[Interface, ...]:
    """Derive all interfaces, ordered by link and end.

    A subnet of up to 250 hosts is ``10.x.y.0/24`` and ``fd00:N::/64`` with N = 256 x + y, counted from 1; a larger one
    takes an aligned block of as many /24 as it needs. Hosts are numbered from 1 in the order of the links. Subnets that
    overlap with given addresses are passed over.

    Raises:
        ConfigError: An address is given twice, a subnet has some given and some derived ones, or none are left.
    """
    segments = _segments(topology)
    kinds = {node.name: node.kind for node in topology.nodes}
    counts: dict[str, int] = {}
    bare = []
    for index, link in enumerate(topology.links):
        for end, node in enumerate(link.ends):
            number = counts.get(node, 0)
            counts[node] = number + 1
            bare.append((node, f"eth{number}", index, end, link.mtu, segments[index]))
    given = _given(topology)
    members: dict[int, list[tuple[int, int]]] = {}
    for node, _, index, end, _, segment in bare:
        if kinds[node] != "switch":
            members.setdefault(segment, []).append((index, end))
    addresses = _addresses(topology, members, given)
    return tuple(
        Interface(
            node=node,
            name=name,
            link=index,
            end=end,
            mac=mac_address(index, end),
            mtu=mtu,
            segment=segment,
            addresses=tuple(text for text in addresses.get((index, end), ()) if mtu >= _IPV6_MTU or ":" not in text),
        )
        for node, name, index, end, mtu, segment in bare
    )


def _segments(topology: Topology) -> list[int]:
    """Number the subnet of each link: links that meet in a switch are in the same one."""
    parent = list(range(len(topology.links)))

    def find(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    switches = {node.name for node in topology.nodes if node.kind == "switch"}
    first: dict[str, int] = {}
    for index, link in enumerate(topology.links):
        for node in link.ends:
            if node in switches:
                a, b = sorted((find(first.setdefault(node, index)), find(index)))
                parent[b] = a
    numbers: dict[int, int] = {}
    return [numbers.setdefault(find(index), len(numbers)) for index in range(len(topology.links))]


def _given(topology: Topology) -> dict[tuple[int, int], tuple[str, ...]]:
    """Collect the given addresses by link and end."""
    found: dict[tuple[int, int], tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for index, link in enumerate(topology.links):
        for end in (0, 1):
            texts = link.addresses(end)
            if texts is None:
                continue
            found[index, end] = texts
            for text in texts:
                plain = text.split("/")[0]
                where = f"{link.ends[end]!r} on link {link.name!r}"
                if plain in owner:
                    raise ConfigError(f"the address {plain} is given to {owner[plain]} and to {where}")
                owner[plain] = where
    return found


def _addresses(
    topology: Topology,
    members: dict[int, list[tuple[int, int]]],
    given: dict[tuple[int, int], tuple[str, ...]],
) -> dict[tuple[int, int], tuple[str, ...]]:
    """Number the ends of each subnet, or take what is given."""
    blocks = _Blocks([ipaddress.ip_interface(text).network for texts in given.values() for text in texts])
    found = dict(given)
    for _, ends in sorted(members.items()):
        derived = [end for end in ends if end not in given]
        if not derived:
            continue
        if len(derived) < len(ends):
            names = {
                end in given: f"{topology.links[end[0]].ends[end[1]]!r} on link {topology.links[end[0]].name!r}"
                for end in ends
            }
            raise ConfigError(
                f"in one subnet, {names[True]} has given addresses and {names[False]} has none",
                hint="give addresses to all ends of a subnet, or to none",
            )
        unit, length = blocks.take(len(derived))
        v4 = int(ipaddress.IPv4Address("10.0.0.0")) + (unit << 8)
        for host, end in enumerate(derived, start=1):
            found[end] = (f"{ipaddress.IPv4Address(v4 + host)}/{length}", f"fd00:{unit:x}::{host:x}/64")
    return found


class _Blocks:
    """Hands out aligned blocks of /24 of 10.0.0.0/8, from 10.0.1.0 on, around what the user took."""

    def __init__(self, taken: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
        self._next = 1
        self._taken = list(taken)

    def take(self, hosts: int) -> tuple[int, int]:
        """Give the number of the first /24 of a block for so many hosts, and the length of its prefix."""
        size = 1
        while size * 256 - 6 < hosts:
            size *= 2
        unit = self._next
        while True:
            unit = -(-unit // size) * size
            if unit + size > _UNITS:
                raise ConfigError(
                    f"10.0.0.0/8 has no room left for a subnet of {hosts} hosts", hint="give addresses to links"
                )
            length = 24 - (size.bit_length() - 1)
            v4 = ipaddress.IPv4Network(((10 << 24) + (unit << 8), length))
            v6 = ipaddress.IPv6Network(((0xFD00 << 112) + (unit << 96), 64))
            if not any(other.overlaps(v4 if other.version == 4 else v6) for other in self._taken):
                self._next = unit + size
                return unit, length
            unit += size
