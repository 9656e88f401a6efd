# SPDX-License-Identifier: MIT
"""Socket options of TCP by name (tcp(7), include/uapi/linux/tcp.h), and what TCP_INFO tells."""

from __future__ import annotations

import struct
from socket import IPPROTO_TCP
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.backends.sockets import RemoteSocket

TCP_NODELAY, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT = 1, 2, 3, 4, 5, 6
TCP_INFO, TCP_QUICKACK, TCP_MD5SIG, TCP_USER_TIMEOUT, TCP_FASTOPEN = 11, 12, 14, 18, 23
TCP_FASTOPEN_CONNECT = 30

NODELAY = (IPPROTO_TCP, TCP_NODELAY, 1)

ESTABLISHED, SYN_SENT, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING = (
    1,
    2,
    4,
    5,
    6,
    7,
    8,
    9,
    11,
)

_INFO_BYTES = 104
_RTO_AT, _RTT_AT, _SLOW_START_LIMIT_AT, _CONGESTION_WINDOW_AT, _TOTAL_RETRANSMITS_AT = 8, 68, 76, 80, 100


def state(sock: RemoteSocket) -> int:
    """Give the state of a connection (include/net/tcp_states.h)."""
    return _info(sock)[0]


def rto_s(sock: RemoteSocket) -> float:
    """Give the retransmission time-out now, in seconds."""
    (value,) = struct.unpack_from("=I", _info(sock), _RTO_AT)
    return float(value) / 1e6


def srtt_s(sock: RemoteSocket) -> float:
    """Give the smoothed round-trip time, in seconds."""
    (value,) = struct.unpack_from("=I", _info(sock), _RTT_AT)
    return float(value) / 1e6


def congestion_window(sock: RemoteSocket) -> int:
    """Give the congestion window, in segments."""
    (value,) = struct.unpack_from("=I", _info(sock), _CONGESTION_WINDOW_AT)
    return int(value)


def slow_start_limit(sock: RemoteSocket) -> int:
    """Give the window at which slow start ends (ssthresh), in segments."""
    (value,) = struct.unpack_from("=I", _info(sock), _SLOW_START_LIMIT_AT)
    return int(value)


def retransmissions(sock: RemoteSocket) -> int:
    """Give how many segments were sent again in the life of a connection."""
    (value,) = struct.unpack_from("=I", _info(sock), _TOTAL_RETRANSMITS_AT)
    return int(value)


def _info(sock: RemoteSocket) -> bytes:
    value = sock.getsockopt(IPPROTO_TCP, TCP_INFO, _INFO_BYTES)
    assert isinstance(value, bytes)
    return value
