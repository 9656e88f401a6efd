# SPDX-License-Identifier: MIT
"""Rendering the request for an experiment: RSpec version 3, that CloudLab takes as it is."""

from __future__ import annotations

import ipaddress
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from testbed.errors import ConfigError
from testbed.scenarios import layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.scenarios.topology import Topology

RSPEC = "http://www.geni.net/resources/rspec/3"
EMULAB = "http://www.protogeni.net/resources/rspec/ext/emulab/1"
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
_LOCATION = f"{RSPEC} {RSPEC}/request.xsd"
IMAGE = "urn:publicid:IDN+emulab.net+image+emulab-ops//UBUNTU22-64-STD"
HARDWARE = "c6525-25g"
PACKAGES = "iperf3 ethtool tcpdump mptcpize nftables"
HUGE_PAGES = 1024
# One by one: an image that does not know one of them is to have the others. `profile.py` says the same.
INSTALL = f"sudo apt-get update; for package in {PACKAGES}; do sudo apt-get install -y $package; done"
_PREFIX = {RSPEC: "", EMULAB: "emulab", _SCHEMA: "xsi"}


def request(topology: Topology, *, hardware: str = HARDWARE, image: str = IMAGE, huge_pages: int = HUGE_PAGES) -> str:
    """Render the request whose experiment can carry a topology.

    Hosts and routers become machines, cables become links, switches (with all links that meet in them) LANs. Delays,
    losses and rates are not in it: testbed puts them on when a case asks for them. Each link has a NIC of its own at
    each end: machines find theirs by its MAC address, which the VLANs of a shared one would share, too.

    Args:
        topology: What is to be carried.
        hardware: Node type.
        image: URN of the disk image.
        huge_pages: Of 2 MiB, on each machine; 0 leaves them as the image has them.

    Raises:
        ConfigError: The topology has no machine.
    """
    kinds = {node.name: node.kind for node in topology.nodes}
    machines = [name for name, kind in kinds.items() if kind != "switch"]
    if not machines:
        raise ConfigError("wanted a scenario with hosts or routers, found switches only")
    for space, prefix in _PREFIX.items():
        ET.register_namespace(prefix, space)
    root = ET.Element(f"{{{RSPEC}}}rspec", {"type": "request", f"{{{_SCHEMA}}}schemaLocation": _LOCATION})
    interfaces = [one for one in layout.interfaces(topology) if kinds[one.node] != "switch"]
    for name in machines:
        node = _child(root, "node", client_id=name, exclusive="true")
        sliver = _child(node, "sliver_type", name="raw-pc")
        _child(sliver, "disk_image", name=image)
        _child(node, "hardware_type", name=hardware)
        for interface in interfaces:
            if interface.node == name:
                _interface(node, interface)
        services = _child(node, "services")
        pages = [f"sudo sysctl -w vm.nr_hugepages={huge_pages}"] if huge_pages else []
        for command in (INSTALL, *pages):
            ET.SubElement(services, f"{{{RSPEC}}}execute", {"shell": "sh", "command": command})
    for name, members in _lans(topology, interfaces):
        link = _child(root, "link", client_id=name)
        for interface in members:
            _child(link, "interface_ref", client_id=_client_id(interface))
        _child(link, "link_type", name="lan")
        # Full speed of the NIC, and no machine of CloudLab's between them that shapes.
        ET.SubElement(link, f"{{{EMULAB}}}best_effort", {"enabled": "true"})
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def most_links(topology: Topology) -> int:
    """Give the largest number of links that a host or router has: so many NICs a machine must have."""
    kinds = {node.name: node.kind for node in topology.nodes}
    found = [one.node for one in layout.interfaces(topology) if kinds[one.node] != "switch"]
    return max((found.count(name) for name in set(found)), default=0)


def _child(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, f"{{{RSPEC}}}{tag}", attributes)


def _client_id(interface: layout.Interface) -> str:
    return f"{interface.node}:{interface.name}"


def _interface(node: ET.Element, interface: layout.Interface) -> None:
    element = _child(node, "interface", client_id=_client_id(interface))
    for text in interface.addresses:
        found = ipaddress.ip_interface(text)
        if found.version == 4:
            _child(element, "ip", address=str(found.ip), netmask=str(found.netmask), type="ipv4")


def _lans(topology: Topology, interfaces: Iterable[layout.Interface]) -> list[tuple[str, list[layout.Interface]]]:
    """Give each link or LAN that has ends on machines: its name, and those ends."""
    found: dict[str, list[layout.Interface]] = {}
    switched: dict[int, str] = {}
    kinds = {node.name: node.kind for node in topology.nodes}
    for interface in interfaces:
        link = topology.links[interface.link]
        switch = next((name for name in link.ends if kinds[name] == "switch"), None)
        name = str(link.name) if switch is None else switched.setdefault(interface.segment, switch)
        found.setdefault(name, []).append(interface)
    return list(found.items())
