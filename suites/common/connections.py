# SPDX-License-Identifier: MIT
"""TCP connections of a capture, as their segments with SYN, FIN and RST tell them: how many bytes went each way.

Only these segments are parsed: a capture of an echo has some hundred thousand others.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from suites.common.tcp_wire import FIN, RST, SYN

if TYPE_CHECKING:
    from testbed.backends.network import Network

_IP_AT = 14
_IPV4, _TCP = b"\x08\x00", 6


@dataclass
class Half:
    """What one side of a connection sent.

    Attributes:
        sequence: Of its SYN; None where none was seen.
        end: Sequence number of its FIN; None where none was seen.
        fin_s: When it sent its first FIN, in seconds of the network's clock.
        resets: How many RST it sent.
        broken: Whether one of them came before its FIN.
    """

    sequence: int | None = None
    end: int | None = None
    fin_s: float | None = None
    resets: int = 0
    broken: bool = False

    @property
    def stream_bytes(self) -> int | None:
        """Bytes between SYN and FIN, each counted once however often it was sent; None where one lacks."""
        if self.sequence is None or self.end is None:
            return None
        return (self.end - self.sequence - 1) % 2**32


@dataclass
class Connection:
    """One connection.

    Attributes:
        client: What who sent the first SYN has sent.
        server: What the other has sent.
    """

    client: Half = field(default_factory=Half)
    server: Half = field(default_factory=Half)


def connections(network: Network, link: str, server_port: int) -> list[Connection]:
    """Give the connections to a port that crossed a link, in the order of the client's first segments.

    Each side is judged by the capture at its own end: what it has sent, whether it came or not.
    """
    found: dict[tuple[bytes, bytes, int, int], Connection] = {}
    for end in network.link(link).ends:
        for frame in network.link(link).frames(end, network[end].interface(link).mac):
            data = frame.data
            if data[12:14] != _IPV4 or data[_IP_AT + 9] != _TCP:
                continue
            at = _IP_AT + (data[_IP_AT] & 15) * 4
            flags = data[at + 13]
            if not flags & (SYN | FIN | RST):
                continue
            source, destination, sequence = struct.unpack_from("!HHI", data, at)
            ours = destination == server_port
            ends = (data[_IP_AT + 12 : _IP_AT + 16], data[_IP_AT + 16 : _IP_AT + 20])
            key = (*ends, source, destination) if ours else (ends[1], ends[0], destination, source)
            connection = found.setdefault(key, Connection())
            payload = int.from_bytes(data[_IP_AT + 2 : _IP_AT + 4]) - (at - _IP_AT) - (data[at + 12] >> 4) * 4
            _take(connection.client if ours else connection.server, flags, sequence, payload, frame.time_ns / 1e9)
    return list(found.values())


def _take(half: Half, flags: int, sequence: int, payload: int, time_s: float) -> None:
    if flags & SYN:
        half.sequence = sequence
    if flags & FIN and half.fin_s is None:
        half.end = (sequence + payload) % 2**32
        half.fin_s = time_s
    if flags & RST:
        half.resets += 1
        half.broken |= half.fin_s is None
