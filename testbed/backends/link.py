# SPDX-License-Identifier: MIT
"""A live link: its captures, its shape, and cutting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from testbed.backends import pcapng
from testbed.backends.plan import shape_plan
from testbed.errors import CapabilityError, ConfigError, near_misses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from testbed.backends.network import Network
    from testbed.scenarios.shape import Shape, ShapeParams

_SOURCE_AT = 6  # in an Ethernet frame
_NS = 1_000_000_000


class Link:
    """A link of a network that is up.

    Args:
        network: The network.
        index: The link's index in the topology.
    """

    def __init__(self, network: Network, index: int) -> None:
        self._network = network
        self._index = index
        declared = network.topology.links[index]
        self.name = str(declared.name)
        self.ends = declared.ends
        self._shapes = list(declared.shapes)
        self.joined = True  # false while it is cut

    def __repr__(self) -> str:
        return f"<Link {self.name}>"

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """The shapes of both directions as they are now, that of what end 0 sends first."""
        return (self._shapes[0], self._shapes[1])

    def capture(self, end: str) -> Path:
        """Give the pcapng file of a link's end, with all that was captured until now.

        Args:
            end: Name of the node at that end. A frame that it sent has the time of sending, one that it received
                that of arriving.

        Raises:
            ConfigError: No such end.
            CapabilityError: Captures are off in this network.
        """
        self._end(end)
        if not self._network.options.capture:
            hint = "leave out --no-captures (of exec: --no-capture)"
            raise CapabilityError(f"link {self.name}: captures are off in this network", hint=hint)
        if self._network.live:
            self._network.session.ask_quietly("flush")
        return self._network.session.recorder.capture_path(self.name, end)

    def frames(self, end: str, source: str = "") -> Iterator[pcapng.Frame]:
        """Give the raw frames captured at an end until now, with times of its clock; much faster than scapy.

        Args:
            end: Name of the node at that end.
            source: MAC address that they are from; empty is any.
        """
        path = self.capture(end)
        if not path.exists():
            return
        among = bytes.fromhex(source.replace(":", ""))
        yield from pcapng.frames(path.read_bytes(), self._network.epoch_ns, at=_SOURCE_AT, among=among)

    def packets(self, end: str, filter: Callable[[Any], object] | None = None) -> list[Any]:  # noqa: A002  # as in scapy
        """Give the packets captured at an end until now.

        Args:
            end: Name of the node at that end.
            filter: Keeps those packets for which it says yes.

        Returns:
            scapy packets from the Ethernet layer on; ``time`` is in seconds of the network's clock, ``wirelen`` the
            length on the wire.
        """
        from scapy.layers import inet, inet6  # noqa: F401, PLC0415  # importing scapy takes as long as a whole case
        from scapy.layers.l2 import Ether  # noqa: PLC0415

        found = []
        for frame in self.frames(end):
            packet = Ether(frame.data)
            packet.time = frame.time_ns / _NS
            packet.wirelen = frame.length
            if filter is None or filter(packet):
                found.append(packet)
        return found

    def set(self, *, toward: str | None = None, **shape: Unpack[ShapeParams]) -> None:
        """Change values of the link's shape; what is not named stays as it is.

        Args:
            toward: Node whose incoming direction is meant; None is both.
            shape: Keywords of a :class:`~testbed.scenarios.shape.Shape`.

        Raises:
            ConfigError: No such end or value.
        """
        directions = (0, 1) if toward is None else (1 - self._end(toward),)
        for end in directions:
            self._shapes[end] = self._shapes[end].changed(**shape)
        plans = [
            shape_plan(now, seed=self._network.seed, link=self.name, end=end) for end, now in enumerate(self._shapes)
        ]
        self._network.session.call("link", link=self._index, up=None, shapes=plans)

    def cut(self) -> None:
        """Cut the link: both nodes lose their carrier, frames under way are lost."""
        self._network.session.call("link", link=self._index, up=False, shapes=None)
        self.joined = False

    def restore(self) -> None:
        """Join the link again."""
        self._network.session.call("link", link=self._index, up=True, shapes=None)
        self.joined = True

    def end_of(self, node: str) -> tuple[int, int]:
        """Give the link's index and the number of a node's end, as the protocol counts them."""
        return self._index, self._end(node)

    def _end(self, node: str) -> int:
        if node not in self.ends:
            raise ConfigError(f"link {self.name} has no end {node!r}; {near_misses(node, self.ends)}")
        return self.ends.index(node)
