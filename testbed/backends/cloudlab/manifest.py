# SPDX-License-Identifier: MIT
"""Reading the manifest of an experiment: RSpec version 3, as CloudLab's page of an experiment and geni-lib give it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

RSPEC = "{http://www.geni.net/resources/rspec/3}"
_SSH_PORT = 22


@dataclass(frozen=True, kw_only=True)
class Port:
    """An experiment interface of a node.

    Args:
        client_id: Its name in the manifest, such as ``h1:if0``.
        mac: Ethernet address, lower case with colons.
        address: IPv4 address that CloudLab gives it, or None.
        link: Name of the link or LAN that it is on, or None.
    """

    client_id: str
    mac: str
    address: str | None
    link: str | None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """An experiment node.

    Args:
        name: Its ``client_id``, which is the name of a topology's node.
        host, port, user: Where and as whom ssh gets in.
        hardware: The node type that was given, such as ``c6525-25g``; may be empty.
        ports: Its experiment interfaces, in the order of the manifest.
    """

    name: str
    host: str
    port: int
    user: str
    hardware: str
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Manifest:
    """The nodes of an experiment, by name."""

    machines: dict[str, Machine]

    def between(self, machine: str, others: set[str]) -> list[Port]:
        """Give the ports of a machine that are on one link or LAN with all of the other machines."""
        found = []
        for port in self.machines[machine].ports:
            if port.link is not None:
                reached = {
                    other.name for other in self.machines.values() for end in other.ports if end.link == port.link
                }
                if others <= reached:
                    found.append(port)
        return found


def read_manifest(path: Path, *, user: str | None = None) -> Manifest:
    """Read a manifest file.

    Args:
        path: The file.
        user: Log in as this user in place of the one that the manifest names first.

    Raises:
        ConfigError: It cannot be read, is no manifest, or a node lacks what ssh needs; says which.
    """
    hint = "take it from the experiment's page: List View, then Manifest"
    try:
        root = ET.fromstring(path.read_bytes())  # noqa: S314  # the user's own file; expat has no network
    except OSError as error:
        raise ConfigError(f"cannot read the manifest {path}: {error.strerror}", hint=hint) from error
    except ET.ParseError as error:
        raise ConfigError(f"the manifest {path} is no XML: {error}", hint=hint) from error
    if root.tag != f"{RSPEC}rspec" or root.get("type") != "manifest":
        found = f"{root.tag} of type {root.get('type')!r}"
        raise ConfigError(f"wanted an RSpec (version 3) of type 'manifest' in {path}, found {found}", hint=hint)
    links = {
        end.get("client_id", ""): link.get("client_id", "")
        for link in root.iter(f"{RSPEC}link")
        for end in link.iter(f"{RSPEC}interface_ref")
    }
    machines = [_machine(node, links, user, path) for node in root.iter(f"{RSPEC}node")]
    if not machines:
        raise ConfigError(f"the manifest {path} has no nodes", hint=hint)
    found_twice = {machine.name for machine in machines if [other.name for other in machines].count(machine.name) > 1}
    if found_twice:
        raise ConfigError(f"the manifest {path} names {sorted(found_twice)} twice")
    _check_macs(machines, path)
    return Manifest({machine.name: machine for machine in machines})


def _check_macs(machines: list[Machine], path: Path) -> None:
    """Make sure that a MAC address tells which NIC is meant.

    Raises:
        ConfigError: Two interfaces of a node have the same.
    """
    for machine in machines:
        for port in machine.ports:
            same = [other.client_id for other in machine.ports if other.mac == port.mac]
            if len(same) > 1:
                what = (
                    f"{path}: the interfaces {' and '.join(same)} of node {machine.name!r} share one NIC ({port.mac})"
                )
                hint = "ask for links without multiplexing, as testbed cloudlab profile does, and for enough NICs"
                raise ConfigError(f"{what}; testbed needs one for each", hint=hint)


def _machine(node: ET.Element, links: dict[str, str], user: str | None, path: Path) -> Machine:
    name = node.get("client_id")
    if not name:
        raise ConfigError(f"{path}: a node has no client_id")
    login = node.find(f"{RSPEC}services/{RSPEC}login")
    if login is None or not login.get("hostname"):
        raise ConfigError(f"{path}: node {name!r} has no <login hostname=...>: is the experiment ready?")
    word = login.get("port") or str(_SSH_PORT)
    if not word.isdecimal() or not 0 < int(word) <= 0xFFFF:
        raise ConfigError(f"{path}: node {name!r}: wanted a TCP port of 1 to 65535, found {word!r}")
    hardware = node.find(f"{RSPEC}hardware_type")
    return Machine(
        name=name,
        host=str(login.get("hostname")),
        port=int(word),
        user=user or login.get("username") or "root",
        hardware="" if hardware is None else hardware.get("name", ""),
        ports=tuple(_port(end, links, name, path) for end in node.iter(f"{RSPEC}interface")),
    )


def _port(end: ET.Element, links: dict[str, str], node: str, path: Path) -> Port:
    client_id = end.get("client_id", "")
    mac = _mac(end.get("mac_address", ""))
    if mac is None:
        found = end.get("mac_address")
        raise ConfigError(f"{path}: interface {client_id!r} of node {node!r} has no MAC address, found {found!r}")
    address = next((ip.get("address") for ip in end.iter(f"{RSPEC}ip") if ip.get("type", "ipv4") == "ipv4"), None)
    return Port(client_id=client_id, mac=mac, address=address, link=links.get(client_id))


def _mac(text: str) -> str | None:
    """Bring a MAC address into the form of ``/sys/class/net/*/address``: CloudLab writes it without colons."""
    digits = text.replace(":", "").lower()
    if len(digits) != 12 or not all(digit in "0123456789abcdef" for digit in digits):
        return None
    return ":".join(digits[index : index + 2] for index in range(0, 12, 2))
