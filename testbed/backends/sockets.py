# SPDX-License-Identifier: MIT
"""Sockets inside a node, used from the test as if they were local."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Self

from testbed.agent.protocol import NetworkTimeout
from testbed.backends import sockaddr
from testbed.backends.process import nanoseconds
from testbed.backends.traffic import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    from testbed.backends.session import Caller
    from testbed.backends.sockaddr import Address

SOCK_DCCP = 6  # include/linux/net.h
IPPROTO_DCCP = 33  # RFC 4340, section 5.1
IPPROTO_SCTP = 132  # RFC 9260, section 3
IPPROTO_UDPLITE = 136  # RFC 3828
IPPROTO_MPTCP = 262  # include/uapi/linux/in.h
SOL_SCTP = 132  # include/linux/socket.h
SOL_DCCP = 269
SOL_NETLINK = 270
SOL_MPTCP = 284


class RemoteSocket:
    """A socket in a node's network namespace, with the methods of ``socket.socket``.

    What the far kernel refuses is an ``OSError`` with its errno; what takes longer than ``timeout`` is a
    ``TimeoutError``.

    Args:
        session: The conversation with the agent.
        handle: The agent's number of the socket.
        family: Its address family.
        kind: Its type (``SOCK_STREAM``, ...).
        interface_index: Gives the index of an interface of the node by its name.
    """

    def __init__(
        self, session: Caller, handle: int, family: int, kind: int, interface_index: Callable[[str], int]
    ) -> None:
        self._session = session
        self._handle = handle
        self._interface_index = interface_index
        self.family = family
        self.type = kind
        self.timeout: float | None = 60.0
        """Seconds of the network's clock that a call may take; None waits for ever."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def settimeout(self, value: float | None) -> None:
        """Set :attr:`timeout`."""
        self.timeout = value

    def bind(self, address: Address) -> None:
        """Give the socket its own address."""
        self._session.call("bind", sock=self._handle, addr=self._pack(address))

    def connect(self, address: Address) -> None:
        """Connect to an address, or raise what the far kernel says (``ConnectionRefusedError``, ...)."""
        self._session.call("connect", sock=self._handle, addr=self._pack(address), timeout=self._limit())

    def listen(self, backlog: int = 128) -> None:
        """Begin to accept connections."""
        self._session.call("listen", sock=self._handle, backlog=backlog)

    def accept(self) -> tuple[RemoteSocket, Address]:
        """Wait for a connection; give its socket and the peer's address."""
        ok = self._session.call("accept", sock=self._handle, timeout=self._limit())
        peer = RemoteSocket(self._session, ok["sock"], self.family, self.type, self._interface_index)
        peer.timeout = self.timeout
        return peer, sockaddr.unpack(ok["addr"])

    def send(self, data: bytes, flags: int = 0) -> int:
        """Send bytes; give how many were taken."""
        return self._send(data, flags, None)

    def sendall(self, data: bytes, flags: int = 0) -> None:
        """Send all bytes."""
        rest = memoryview(bytes(data))
        while rest:
            rest = rest[self._send(bytes(rest[: 8 << 20]), flags, None) :]

    def sendto(self, data: bytes, address: Address, *, flags: int = 0) -> int:
        """Send bytes to an address; give how many were taken."""
        return self._send(data, flags, self._pack(address))

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive up to ``size`` bytes; ``b""`` is the end of the stream."""
        return self.recvfrom(size, flags)[0]

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Address]:
        """Receive up to ``size`` bytes and the sender's address (None where there is none)."""
        data, _, address = self.recvmsg(size, flags)
        return data, address

    def recvmsg(self, size: int, flags: int = 0) -> tuple[bytes, int, Address]:
        """Receive up to ``size`` bytes; give them, the message's flags (``MSG_TRUNC``, ...) and the sender."""
        ok = self._session.call("recv", sock=self._handle, max=size, flags=flags, timeout=self._limit())
        return ok["data"], ok["flags"], sockaddr.unpack(ok["addr"] or b"")

    def recv_exactly(self, size: int) -> bytes:
        """Receive exactly ``size`` bytes of a stream.

        Raises:
            EOFError: The stream ended before.
        """
        data = bytearray()
        while len(data) < size:
            part = self.recv(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError(f"the stream ended after {len(data)} of {size} bytes")
            data += part
        return bytes(data)

    def recv_all(self) -> bytes:
        """Receive until the stream ends."""
        data = bytearray()
        while part := self.recv(1 << 20):
            data += part
        return bytes(data)

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """Set an option; a number is sent as a C ``int``."""
        raw = struct.pack("=i", value) if isinstance(value, int) else bytes(value)
        self._session.call("setsockopt", sock=self._handle, level=level, name=name, value=raw)

    def getsockopt(self, level: int, name: int, size: int | None = None) -> int | bytes:
        """Give an option as a C ``int``, or as up to ``size`` bytes."""
        ok = self._session.call(
            "getsockopt", sock=self._handle, level=level, name=name, max=4 if size is None else size
        )
        value: bytes = ok["value"]
        return value if size is not None else int.from_bytes(value, "little", signed=True)

    def getsockname(self) -> Address:
        """Give the socket's own address."""
        return sockaddr.unpack(self._session.call("getsockname", sock=self._handle)["addr"])

    def getpeername(self) -> Address:
        """Give the peer's address."""
        return sockaddr.unpack(self._session.call("getpeername", sock=self._handle)["addr"])

    def source(self, packet_bytes: int, at: Iterable[float], address: Address = None) -> None:
        """Let the socket send packets at exact times from now on, in the background; times already past are at once.

        Args:
            packet_bytes: Payload of each packet: its number from 0 (8 bytes, big-endian), then filling.
            at: When, in seconds of the network's clock, ascending: see :func:`testbed.backends.traffic.on_off`.
            address: Where to; None is where the socket is connected to.
        """
        times = [round(time * 1e9) for time in at]
        to = None if address is None else self._pack(address)
        packed = struct.pack(f"<{len(times)}q", *times)
        record = {"sock": self._handle, "size": packet_bytes, "packets": len(times), "at": packed, "addr": to}
        self._session.call("source", record=record, sock=self._handle, size=packet_bytes, at=times, addr=to)

    def sink(self) -> None:
        """Count and drop all that the socket receives from now on; a listening one accepts, and counts for all."""
        self._session.call("sink", sock=self._handle)

    def tally(self, of: Literal["source", "sink"]) -> Tally:
        """Give what the socket sent as a source or received as a sink until now."""
        return Tally.from_reply(self._session.call("tally", sock=self._handle, of=of))

    def shutdown(self, how: int = socket.SHUT_RDWR) -> None:
        """Shut down one direction or both."""
        self._session.call("shutdown", sock=self._handle, how=how)

    def close(self) -> None:
        """Close the socket; called again it does nothing."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            self._session.call("close", sock=handle)

    def _send(self, data: bytes, flags: int, address: bytes | None) -> int:
        ok = self._session.call(
            "send", sock=self._handle, data=bytes(data), addr=address, flags=flags, timeout=self._limit()
        )
        sent: int = ok["sent"]
        return sent

    def _pack(self, address: Address) -> bytes:
        return sockaddr.pack(self.family, address, self._interface_index)

    def _limit(self) -> int | None:
        return nanoseconds(self.timeout)


__all__ = [
    "IPPROTO_DCCP",
    "IPPROTO_MPTCP",
    "IPPROTO_SCTP",
    "IPPROTO_UDPLITE",
    "SOCK_DCCP",
    "SOL_DCCP",
    "SOL_MPTCP",
    "SOL_NETLINK",
    "SOL_SCTP",
    "NetworkTimeout",
    "RemoteSocket",
]
