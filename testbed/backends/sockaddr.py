# SPDX-License-Identifier: MIT
"""Socket addresses as Python writes them, to and from the raw ``struct sockaddr`` of a little-endian Linux."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

from testbed.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable

Address = Any
"""``(host, port)``, ``(host, port, flowinfo, scope)``, ``(pid, groups)``, a path, or ``(interface, protocol, ...)``."""

_FAMILY = struct.Struct("=H")
_IN = struct.Struct("!H4s8x")  # ip(7)
_IN6 = struct.Struct("!HI16s")  # ipv6(7), then the scope in the machine's order
_NETLINK = struct.Struct("=HII")  # netlink(7), from the padding on
_PACKET = struct.Struct("=HiHBB8s")  # packet(7); the protocol is in network order


def pack(family: int, address: Address, interface_index: Callable[[str], int]) -> bytes:
    """Make the raw address of a socket family.

    Args:
        family: ``AF_INET``, ``AF_INET6``, ``AF_NETLINK``, ``AF_UNIX`` or ``AF_PACKET``.
        address: The address as the methods of ``socket.socket`` take it; hosts are numeric (``""`` is any).
        interface_index: Gives the index of an interface by its name, for ``AF_PACKET``.

    Raises:
        OSError: The host is no numeric address.
        TypeError: The address has not the form that its family needs.
    """
    head = _FAMILY.pack(family)
    match family, address:
        case socket.AF_INET, (str(host), int(port)):
            return head + _IN.pack(port, socket.inet_pton(family, host or "0.0.0.0"))  # noqa: S104  # any address, as socket(7)
        case socket.AF_INET6, (str(host), int(port), *rest):
            flow, scope = (*rest, 0, 0)[:2]
            return head + _IN6.pack(port, flow, socket.inet_pton(family, host or "::")) + struct.pack("=I", scope)
        case socket.AF_NETLINK, (int(pid), int(groups)):
            return head + _NETLINK.pack(0, pid, groups)
        case socket.AF_UNIX, str() | bytes():
            path = address.encode() if isinstance(address, str) else address
            return head + (path if path.startswith(b"\0") else path + b"\0")
        case socket.AF_PACKET, (str() | int(), int(protocol), *rest):
            defaults: tuple[Any, ...] = (0, 0, b"")
            kind, hardware, mac = (*rest, *defaults[len(rest) :])
            index = interface_index(address[0]) if isinstance(address[0], str) else address[0]
            return head + _PACKET.pack(socket.htons(protocol), index, hardware, kind, len(mac), mac)
        case _:
            raise TypeError(f"{address!r} is no address of family {family}")


def unpack(raw: bytes) -> Address:
    """Read a raw address; an empty one (a socket without a name) is None.

    Raises:
        InternalError: The family is not known here, or the bytes are too few.
    """
    if len(raw) < _FAMILY.size:
        return None
    (family,) = _FAMILY.unpack_from(raw)
    body = raw[_FAMILY.size :]
    try:
        if family == socket.AF_INET:
            port, host = _IN.unpack_from(body)
            return (socket.inet_ntop(family, host), port)
        if family == socket.AF_INET6:
            port, flow, host = _IN6.unpack_from(body)
            (scope,) = struct.unpack_from("=I", body, _IN6.size)
            return (socket.inet_ntop(family, host), port, flow, scope)
        if family == socket.AF_NETLINK:
            return _NETLINK.unpack_from(body)[1:]
        if family == socket.AF_UNIX:
            return body if body.startswith(b"\0") else body.split(b"\0")[0].decode("utf-8", "surrogateescape")
        if family == socket.AF_PACKET:
            protocol, index, hardware, kind, length, mac = _PACKET.unpack_from(body.ljust(_PACKET.size, b"\0"))
            return (index, socket.ntohs(protocol), kind, hardware, mac[:length])
    except struct.error as error:
        raise InternalError(f"the agent sent an address of {len(raw)} bytes for family {family}: {raw!r}") from error
    raise InternalError(f"the agent sent an address of family {family}: {raw!r}")
