# SPDX-License-Identifier: MIT
"""One netlink socket of a node: messages are built and parsed on the host, the socket is the guest's.

Layout of every message (netlink(7)): ``struct nlmsghdr`` (u32 length, u16 type, u16 flags, u32 sequence, u32 port),
then the payload, padded to 4 bytes. The byte order is the machine's own.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from testbed.backends.node import Node
    from testbed.backends.sockets import RemoteSocket

# include/uapi/linux/netlink.h and socket.h: names that Python's socket module lacks.
SOL_NETLINK = 270
NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_GENERIC = 0, 4, 16
NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP = 1, 2
NETLINK_NO_ENOBUFS = 5
NETLINK_LIST_MEMBERSHIPS = 9
NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 10, 11, 12
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
RTNLGRP_LINK, RTNLGRP_NEIGH = 1, 3

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")

# The rtnetlink message types come in groups of four (NEW, DEL, GET, SET), rtnetlink(7).
_CLASS_OF_GROUP = {16: ifinfmsg, 20: ifaddrmsg, 24: rtmsg, 28: ndmsg, 32: fibmsg, 88: nsidmsg}


@dataclass(frozen=True)
class Frame:
    """One message as it came out of the socket.

    Attributes:
        type: ``nlmsg_type``.
        flags: ``nlmsg_flags``.
        sequence: ``nlmsg_seq``: that of the request, 0 for a notification.
        payload: What follows the header, without padding.
    """

    type: int
    flags: int
    sequence: int
    payload: bytes

    def parsed(self, kind: Any = None) -> Any:
        """Decode with pyroute2's class for this type, or with the given one.

        Returns:
            A pyroute2 message: fields by ``[name]``, attributes by ``get_attr(name)``.
        """
        body = _HEADER.pack(_HEADER.size + len(self.payload), self.type, self.flags, self.sequence, 0) + self.payload
        decoded = (kind or _CLASS_OF_GROUP[self.type & ~3])(body)
        decoded.decode()
        return decoded


@dataclass(frozen=True)
class Ack:
    """The parts of an NLMSG_ERROR message: ``struct nlmsgerr`` and its attributes.

    Attributes:
        errno: 0 for an acknowledgement, else the positive error number.
        flags: NLM_F_CAPPED where the request was not echoed, NLM_F_ACK_TLVS where attributes follow.
        echoed: The echoed request, header included.
        attributes: NLMSGERR_ATTR_* number to raw value.
    """

    errno: int
    flags: int
    echoed: bytes
    attributes: dict[int, bytes] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """NLMSGERR_ATTR_MSG: what the kernel says about the error, or the empty string."""
        return self.attributes.get(1, b"").rstrip(b"\0").decode()

    @property
    def offset(self) -> int | None:
        """NLMSGERR_ATTR_OFFS: where in the request the culprit is, in bytes from its header."""
        raw = self.attributes.get(2)
        return None if raw is None else int(struct.unpack("=I", raw)[0])


class NetlinkError(OSError):
    """The kernel answered a request with an error."""

    def __init__(self, ack: Ack) -> None:
        super().__init__(ack.errno, f"{errno.errorcode[ack.errno]} {os.strerror(ack.errno)}: {ack.text!r}")
        self.ack = ack


@dataclass(frozen=True)
class Dump:
    """A whole multipart answer.

    Attributes:
        frames: Its messages, without the one that ends it.
        done: The NLMSG_DONE message.
        datagrams: How many datagrams it came in.
    """

    frames: list[Frame]
    done: Frame
    datagrams: int

    def payloads(self) -> list[bytes]:
        """Give what two dumps of the same state have in common: all but sequence numbers and ports."""
        return [frame.payload for frame in self.frames]

    def parsed(self, kind: type[Any] | None = None) -> list[Any]:
        """Decode every message, in order."""
        return [frame.parsed(kind) for frame in self.frames]


def split(datagram: bytes) -> Iterator[Frame]:
    """Split a datagram into its messages.

    Raises:
        ValueError: A header promises more bytes than there are.
    """
    at = 0
    while at < len(datagram):
        length, kind, flags, sequence, _port = _HEADER.unpack_from(datagram, at)
        if not _HEADER.size <= length <= len(datagram) - at:
            raise ValueError(
                f"message at byte {at} promises {length} bytes, the datagram has {len(datagram) - at} left"
            )
        yield Frame(kind, flags, sequence, datagram[at + _HEADER.size : at + length])
        at += (length + 3) & ~3


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Split a chain of ``struct nlattr`` into numbers (nest and byte-order bits removed) and raw values.

    Raises:
        ValueError: One is shorter than its header.
    """
    at = 0
    while at < len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            raise ValueError(f"attribute at byte {at} is {length} bytes long, less than its header")
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def parse_ack(frame: Frame) -> Ack:
    """Take an NLMSG_ERROR message apart (netlink_ack() in net/netlink/af_netlink.c)."""
    (code,) = struct.unpack_from("=i", frame.payload)
    (length,) = struct.unpack_from("=I", frame.payload, 4)
    echoed = _HEADER.size if frame.flags & NLM_F_CAPPED else (length + 3) & ~3
    tail = frame.payload[4 + echoed :] if frame.flags & NLM_F_ACK_TLVS else b""
    return Ack(-code, frame.flags, frame.payload[4 : 4 + echoed], dict(attributes(tail)))


def header(kind: int, flags: int, payload: bytes, *, sequence: int = 1) -> bytes:
    """Put a header before a hand-made payload, and pad it."""
    return _HEADER.pack(_HEADER.size + len(payload), kind, flags, sequence, 0) + payload + bytes(-len(payload) % 4)


class Netlink:
    """A netlink socket of a node.

    Args:
        node: Where the socket is.
        protocol: NETLINK_ROUTE, NETLINK_GENERIC or NETLINK_SOCK_DIAG.
        groups: Multicast groups to join, by number.
        receive_bytes: Size of each receive; the kernel fills the parts of a dump to about this size.
    """

    def __init__(
        self, node: Node, protocol: int = NETLINK_ROUTE, *, groups: Iterable[int] = (), receive_bytes: int = 1 << 16
    ) -> None:
        self._receive_bytes = receive_bytes
        self.socket: RemoteSocket = node.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.socket.bind((0, 0))
        self._sequence = 0
        for group in groups:
            self.join(group)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def join(self, group: int) -> None:
        """Join a multicast group, by its number (not its mask)."""
        self.option(NETLINK_ADD_MEMBERSHIP, group)

    def option(self, name: int, value: int = 1) -> None:
        """Set a socket option of level SOL_NETLINK."""
        self.socket.setsockopt(SOL_NETLINK, name, struct.pack("=i", value))

    def encode(self, message: Any, flags: int) -> bytes:
        """Number a pyroute2 message, set its flags (NLM_F_REQUEST is added) and give its bytes, padded."""
        self._sequence += 1
        message["header"]["flags"] = flags | NLM_F_REQUEST
        message["header"]["sequence_number"] = self._sequence
        message.encode()
        data = bytes(message.data)
        return data + bytes(-len(data) % 4)

    def send(self, *messages: Any, flags: int = NLM_F_ACK) -> None:
        """Send messages in one datagram."""
        self.socket.send(b"".join(self.encode(message, flags) for message in messages))

    def receive(self) -> list[Frame]:
        """Receive one datagram, parsed."""
        return list(split(self.socket.recv(self._receive_bytes)))

    def pending(self) -> list[Frame]:
        """Receive what is there already, without waiting."""
        frames: list[Frame] = []
        before = self.socket.timeout
        self.socket.settimeout(0.0)
        try:
            while True:
                frames += self.receive()
        except (BlockingIOError, TimeoutError):
            return frames
        finally:
            self.socket.settimeout(before)

    def acks(self, count: int) -> list[Ack]:
        """Receive until that many NLMSG_ERROR messages have come; anything else fails."""
        found: list[Ack] = []
        while len(found) < count:
            for frame in self.receive():
                assert frame.type == NLMSG_ERROR, frame
                found.append(parse_ack(frame))
        return found

    def request(self, message: Any, flags: int = 0) -> list[Frame]:
        """Send one message and wait for its acknowledgement.

        Returns:
            What came before the acknowledgement (the answer to a GET, the echo of a NEW).

        Raises:
            NetlinkError: The kernel refused.
        """
        self.send(message, flags=flags | NLM_F_ACK)
        answer: list[Frame] = []
        while True:
            for frame in self.receive():
                assert frame.sequence == self._sequence, f"answer to another request: {frame}"
                if frame.type == NLMSG_ERROR:
                    ack = parse_ack(frame)
                    if ack.errno:
                        raise NetlinkError(ack)
                    return answer
                answer.append(frame)

    def dump(self, message: Any) -> Dump:
        """Ask for all objects of a kind and read up to NLMSG_DONE.

        Raises:
            NetlinkError: The kernel refused, at once or in the status of NLMSG_DONE.
        """
        self.send(message, flags=NLM_F_DUMP)
        return self.rest_of_dump()

    def rest_of_dump(self) -> Dump:
        """Read what is left of a dump up to NLMSG_DONE."""
        frames: list[Frame] = []
        datagrams = 0
        while True:
            datagrams += 1
            for frame in self.receive():
                if frame.type == NLMSG_ERROR:
                    raise NetlinkError(parse_ack(frame))
                if frame.type == NLMSG_DONE:
                    return Dump(frames, _checked(frame), datagrams)
                frames.append(frame)


def _checked(done: Frame) -> Frame:
    """Raise what an NLMSG_DONE message says of a dump that failed half-way (an int, then attributes)."""
    (status,) = struct.unpack_from("=i", done.payload)
    if status < 0:
        raise NetlinkError(Ack(-status, done.flags, b"", dict(attributes(done.payload[4:]))))
    return done
