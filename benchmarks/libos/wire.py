# SPDX-License-Identifier: MIT
"""Two network namespaces with a veth between them, as plain as can be: no offloads, no IPv6."""

from __future__ import annotations

import os
import shutil
import subprocess
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from testbed.errors import CapabilityError

if TYPE_CHECKING:
    from types import TracebackType

INTERFACE = "bench0"
PREFIX_BITS = 24
ADDRESSES = MappingProxyType({"server": "10.9.0.1", "client": "10.9.0.2"})
_OFFLOADS = ("tso", "gso", "gro", "tx", "rx", "sg")


class Wire:
    """A veth between the namespaces of a server and a client; taken down at the end of ``with``.

    Raises:
        CapabilityError: No root, or no ethtool(8), or the kernel has no veth.
    """

    def __init__(self) -> None:
        if os.geteuid():
            raise CapabilityError("network namespaces and raw sockets need root")
        for tool in ("ip", "ethtool"):
            if shutil.which(tool) is None:
                raise CapabilityError(f"there is no {tool} (apt-get install -y iproute2 ethtool)")
        self._spaces = {role: f"bench-{os.getpid()}-{role}" for role in ADDRESSES}

    def __enter__(self) -> Self:
        """Make it, without addresses."""
        try:
            self._make()
        except CapabilityError:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it down."""
        self._remove()

    def enter(self, role: str) -> list[str]:
        """Give the words in front of a command of one side."""
        return ["ip", "netns", "exec", self._spaces[role]]

    def address(self, *, kernel: bool) -> None:
        """Give the addresses to the kernels of both sides, or take them away: a stack of its own wants them."""
        for role, address in ADDRESSES.items():
            _run(*self.enter(role), "ip", "address", "flush", "dev", INTERFACE)
            if kernel:
                _run(*self.enter(role), "ip", "address", "add", f"{address}/{PREFIX_BITS}", "dev", INTERFACE)

    def _make(self) -> None:
        for space in self._spaces.values():
            _run("ip", "netns", "add", space)
        server, client = self._spaces.values()
        peer = ["peer", "name", INTERFACE, "netns", client]
        _run("ip", "link", "add", INTERFACE, "netns", server, "type", "veth", *peer)
        for role in self._spaces:
            enter = self.enter(role)
            _run(*enter, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            _run(*enter, "ethtool", "-K", INTERFACE, *(word for name in _OFFLOADS for word in (name, "off")))
            _run(*enter, "ip", "link", "set", INTERFACE, "up")

    def _remove(self) -> None:
        for space in self._spaces.values():
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise CapabilityError(f"{' '.join(argv)}: {done.stderr.strip()}")
