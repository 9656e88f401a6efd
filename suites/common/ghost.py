# SPDX-License-Identifier: MIT
"""A host that exists only as the frames which a test writes: every bit of it is in the test's hands."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

if TYPE_CHECKING:
    from scapy.packet import Packet

    from testbed.backends.network import Network

WAIT_S = 1.0


class Ghost:
    """A host on the cable between two nodes, beside the first one, which takes no notice of it.

    Its frames go through the link's rate and delay to the second node; what the second node sends to it is in the
    capture of the first node's end.

    Args:
        network: Where it haunts.
        near: The node that it sits beside.
        far: The node that it talks to.
    """

    mac = "02:00:00:00:99:99"
    number = 0x63  # in each subnet: 10.0.1.99 and fd00:1::63

    def __init__(self, network: Network, near: str = "h1", far: str = "h2") -> None:
        self._network = network
        self._near = near
        self._link = network.link(f"{near}-{far}")
        self.far = network[far]
        self.device = self.far.interface(near).name
        self.far_mac = self.far.interface(near).mac
        subnets = [ipaddress.ip_interface(text).network for text in self.far.interface(near).addresses]
        self.addresses: dict[int, str] = {subnet.version: str(subnet[self.number]) for subnet in subnets}

    def introduce(self) -> None:
        """Let the far node know the ghost's link-layer address for ever, so that it need not ask for it."""
        lines = (
            f"neighbour replace {address} lladdr {self.mac} nud permanent dev {self.device}\n"
            for address in self.addresses.values()
        )
        self.far.run(["ip", "-batch", "-"], input="".join(lines))

    def ip(self, version: int, *, to: str | None = None, hops: int = 64, **fields: Any) -> Packet:
        """Make an IP header from the ghost to an address (default: the far node's).

        Args:
            version: 4 or 6.
            to: Where to.
            hops: Time to live, or hop limit.
            fields: More fields of scapy's ``IP`` or ``IPv6``.
        """
        target = to or self.far.address(version, self._link.name)
        if version == 4:
            return IP(src=self.addresses[4], dst=target, ttl=hops, **fields)
        return IPv6(src=self.addresses[6], dst=target, hlim=hops, **fields)

    def send(self, packet: Packet, at: float | None = None) -> None:
        """Send a packet to the far node, or a frame as it is, at a time of the network's clock (None: now)."""
        frame = packet if Ether in packet else Ether(src=self.mac, dst=self.far_mac) / packet
        self._network.inject([(at, self._link.name, self._near, "from", frame)])

    def heard(self, layer: Any = None, since: float = float("-inf")) -> list[Any]:
        """Give the frames that came for the ghost: ``time`` is when each arrived, ``wirelen`` its length.

        Args:
            layer: Only those with this layer of scapy's.
            since: Only those that arrived after this time.
        """

        def is_for_us(frame: Any) -> bool:
            return frame.dst == self.mac and frame.time > since and (layer is None or layer in frame)

        return self._link.packets(self._near, is_for_us)

    def ask(self, *packets: Packet, at: float | None = None, wait: float = WAIT_S) -> list[Any]:
        """Send packets at once, let time pass, and give the frames that came for the ghost since.

        Args:
            packets: What to send.
            at: When, in seconds of the network's clock; None is now.
            wait: How many seconds to listen.
        """
        start = self._network.now() if at is None else at
        for packet in packets:
            self.send(packet, start)
        self._network.sleep_until(start + wait)
        return self.heard(since=start)

    def sent(self, layer: Any) -> list[Any]:
        """Give the frames with a layer of scapy's that the ghost sent, with the time and length of each."""
        return self._link.packets(self._near, lambda frame: frame.src == self.mac and layer in frame)
