# SPDX-License-Identifier: MIT
"""Socket options of SCTP by name (RFC 6458, section 8; include/uapi/linux/sctp.h)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from testbed.backends import sockaddr
from testbed.backends.sockets import IPPROTO_SCTP, SOL_SCTP

if TYPE_CHECKING:
    from testbed.backends.sockets import RemoteSocket

SCTP_INITMSG, SCTP_NODELAY, SCTP_PRIMARY_ADDR, SCTP_DEFAULT_SEND_PARAM, SCTP_STATUS = 2, 3, 6, 10, 14
SCTP_DEFAULT_PRINFO = 114
SCTP_ADD_ADDRESS, SCTP_REMOVE_ADDRESS = 100, 101  # what sctp_bindx() does

UNORDERED = 1  # SCTP_UNORDERED
BY_LIFETIME = 0x0010  # SCTP_PR_SCTP_TTL
ESTABLISHED = 4  # enum sctp_sstat_state
INACTIVE, ACTIVE = 0, 2  # enum sctp_spinfo_state
_STATUS_BYTES = 176
_STATE_AT, _PRIMARY_STATE_AT = 4, 156

NODELAY = (SOL_SCTP, SCTP_NODELAY, 1)

__all__ = ["ESTABLISHED", "IPPROTO_SCTP", "NODELAY", "SOL_SCTP", "UNORDERED"]


def init(streams: int, *, inward: int = 0) -> tuple[int, int, bytes]:
    """Give the option that asks for so many streams, out and in (struct sctp_initmsg)."""
    return (SOL_SCTP, SCTP_INITMSG, struct.pack("=HHHH", streams, inward, 0, 0))


def send_on(sock: RemoteSocket, stream: int, *, flags: int = 0) -> None:
    """Choose the stream and the manner of all later sends (struct sctp_sndrcvinfo)."""
    value = struct.pack("=HHHxxIIIIIi", stream, 0, flags, 0, 0, 0, 0, 0, 0)
    sock.setsockopt(SOL_SCTP, SCTP_DEFAULT_SEND_PARAM, value)


def limit_lifetime(sock: RemoteSocket, lifetime_ms: int) -> None:
    """Give all later messages up that are not delivered so soon; 0 never does (struct sctp_default_prinfo)."""
    policy = BY_LIFETIME if lifetime_ms else 0
    sock.setsockopt(SOL_SCTP, SCTP_DEFAULT_PRINFO, struct.pack("=iIHxx", 0, lifetime_ms, policy))


def add_address(sock: RemoteSocket, address: str, port: int) -> None:
    """Give a socket one more address of its own; the port is that of the first."""
    sock.setsockopt(SOL_SCTP, SCTP_ADD_ADDRESS, _packed(sock, address, port))


def remove_address(sock: RemoteSocket, address: str, port: int) -> None:
    """Take one of its addresses from a socket."""
    sock.setsockopt(SOL_SCTP, SCTP_REMOVE_ADDRESS, _packed(sock, address, port))


def prefer(sock: RemoteSocket, address: str, port: int) -> None:
    """Send to this address of the peer as long as it works (struct sctp_prim)."""
    value = struct.pack("=i", 0) + _packed(sock, address, port).ljust(128, b"\0")
    sock.setsockopt(SOL_SCTP, SCTP_PRIMARY_ADDR, value)


def state(sock: RemoteSocket) -> int:
    """Give the state of an association (struct sctp_status)."""
    return _status(sock, _STATE_AT)


def primary_state(sock: RemoteSocket) -> int:
    """Give the state of an association's primary path (struct sctp_status, sstat_primary)."""
    return _status(sock, _PRIMARY_STATE_AT)


def _status(sock: RemoteSocket, at: int) -> int:
    value = sock.getsockopt(SOL_SCTP, SCTP_STATUS, _STATUS_BYTES)
    assert isinstance(value, bytes)
    (found,) = struct.unpack_from("=i", value, at)
    return int(found)


def _packed(sock: RemoteSocket, address: str, port: int) -> bytes:
    return sockaddr.pack(sock.family, (address, port), lambda _: 0)
