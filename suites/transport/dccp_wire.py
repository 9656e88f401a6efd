# SPDX-License-Identifier: MIT
"""DCCP packets of a capture (RFC 4340, section 5)."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suites.common import ip_wire
from suites.common.ip_wire import Carried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from suites.common.ip_wire import Packet
    from testbed.backends.network import Network

OPTION_CHANGE_L, OPTION_CONFIRM_L, OPTION_CHANGE_R, OPTION_CONFIRM_R = 32, 33, 34, 35  # section 5.8
OPTION_ACK_VECTOR_0, OPTION_ACK_VECTOR_1 = 38, 39
OPTION_LOSS_EVENT_RATE, OPTION_RECEIVE_RATE = 192, 194  # RFC 4342, section 8
FEATURE_CCID = 1  # section 6.4

NO_CONNECTION, CLOSED, BAD_SERVICE_CODE = 3, 1, 8  # codes of a Reset, section 5.6

_SINGLE_BYTE_OPTIONS = 32  # below this an option has neither length nor value
_LONG_HEADER_BYTES = 16  # with sequence numbers of 48 bits


class Kind(enum.IntEnum):
    """Types of packets (section 5.1)."""

    REQUEST = 0
    RESPONSE = 1
    DATA = 2
    ACK = 3
    DATA_ACK = 4
    CLOSE_REQ = 5
    CLOSE = 6
    RESET = 7
    SYNC = 8
    SYNC_ACK = 9


@dataclass(frozen=True)
class Datagram(Carried):
    """One DCCP packet.

    Attributes:
        kind: Its type.
        sequence: Its number, of 48 bits.
        acknowledgement: The number that it acknowledges; 0 where its type has none.
        service: Request, Response: the service code.
        reset_code: Reset: why.
        options: Kind and value of each option but padding.
        payload_bytes: What follows the header.
    """

    kind: Kind
    sequence: int
    acknowledgement: int
    service: int
    reset_code: int
    options: tuple[tuple[int, bytes], ...]
    payload_bytes: int

    def values(self, kind: int) -> list[bytes]:
        """Give the values of all options of a kind."""
        return [value for found, value in self.options if found == kind]

    def ack_vector(self) -> list[tuple[int, int]]:
        """Give state (0 = received, 1 = marked, 3 = not yet received) and length of each run, newest first (11.4)."""
        cells = b"".join(self.values(OPTION_ACK_VECTOR_0) or self.values(OPTION_ACK_VECTOR_1))
        return [(cell >> 6, (cell & 63) + 1) for cell in cells]


def datagrams(network: Network, link: str, end: str) -> list[Datagram]:
    """Give the DCCP packets captured at the end of a link, sent and received, in the order of time."""
    return [_datagram(packet) for packet in ip_wire.packets(network, link, end, ip_wire.DCCP)]


def _datagram(packet: Packet) -> Datagram:
    body = packet.body
    kind = Kind(body[8] >> 1 & 15)
    header = body[4] * 4
    acknowledges = kind not in (Kind.REQUEST, Kind.DATA)
    fixed = _LONG_HEADER_BYTES + (8 if acknowledges else 0)
    service = reset_code = 0
    if kind in (Kind.REQUEST, Kind.RESPONSE):
        (service,) = struct.unpack_from("!I", body, fixed)
    elif kind is Kind.RESET:
        reset_code = body[fixed]
    if kind in (Kind.REQUEST, Kind.RESPONSE, Kind.RESET):
        fixed += 4
    return Datagram(
        packet,
        kind,
        int.from_bytes(body[10:16]),
        int.from_bytes(body[18:24]) if acknowledges else 0,
        service,
        reset_code,
        tuple(_options(body[fixed:header])),
        packet.body_bytes - header,
    )


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind = data[at]
        if kind < _SINGLE_BYTE_OPTIONS:
            at += 1
            continue
        length = ip_wire.long_enough(f"option {kind}", at, data[at + 1], 2)
        yield kind, data[at + 2 : at + length]
        at += length
