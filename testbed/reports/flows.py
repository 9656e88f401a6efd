# SPDX-License-Identifier: MIT
"""The curves of TCP and MPTCP: what was sent, sent again and acknowledged, over time, each at the host that sends.

Sources: tcptrace's time-sequence graph; RFC 9293, RFC 2018, RFC 8684 (3.1 to 3.3: keys, tokens, data sequence numbers).
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed.reports.tcp import ACK, FIN, RST, SYN, Key, Segment, name_of, parse

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from testbed.reports.traffic import Capture

_HALF, _WHOLE = 1 << 31, 1 << 32
_MP_CAPABLE, _MP_JOIN, _DSS = 0, 1, 2
_SYN_ACK_KEY_BYTES, _ACK_KEYS_BYTES, _JOIN_SYN_BYTES = 10, 18, 10  # without kind and length

DATA, AGAIN, SYN_POINT, FIN_POINT, RST_POINT = 0, 1, 2, 3, 4


@dataclass
class _Counter:
    """A number of 32 bits on the wire, counted on beyond them from the first one."""

    first: int | None = None
    last: int = 0

    def __call__(self, wire: int) -> int:
        if self.first is None:
            self.first, self.last = wire, 0
            return 0
        near = (self.first + self.last) % _WHOLE
        self.last += (wire - near + _HALF) % _WHOLE - _HALF
        return self.last


@dataclass
class _Direction:
    """What one host sends to another, as seen where it leaves the sender."""

    key: Key
    node: str
    sent: list[tuple[int, Segment]] = field(default_factory=list)
    answers: list[tuple[int, Segment]] = field(default_factory=list)

    @property
    def data_bytes(self) -> int:
        """Bytes of payload, those that were sent again included."""
        return sum(segment.length for _, segment in self.sent)


def flows(
    captures: Sequence[Capture], epoch_ns: int, *, most: int, points: int, routers: Container[str] = ()
) -> dict[str, Any]:
    """Give the curves of a record's TCP flows and MPTCP connections.

    Args:
        captures: Of one record.
        epoch_ns: What times count from, ns since 1970.
        most: Flows, and connections, at most; those with most data first.
        points: Points of each curve at most; retransmissions are kept first.
        routers: Nodes that only pass on what others send: what their ends of links saw is not looked at.

    Returns:
        ``tcp``: list of flows; ``mptcp``: list of connections; ``left_out``: how many of both are not there.
    """
    directions = _directions([capture for capture in captures if capture.record.node not in routers])
    with_data = [direction for direction in directions.values() if direction.data_bytes]
    with_data.sort(key=lambda direction: -direction.data_bytes)
    connections = _connections(directions)
    chosen = with_data[:most]
    shown = sorted(connections, key=lambda connection: -connection.data_bytes)[:most]
    return {
        "tcp": [_tcp(direction, epoch_ns, points) for direction in chosen],
        "mptcp": [_mptcp(connection, epoch_ns, points) for connection in shown],
        "left_out": len(with_data) - len(chosen) + len(connections) - len(shown),
    }


def _directions(captures: Sequence[Capture]) -> dict[Key, _Direction]:
    """Sort the segments by direction; of all places where one is seen leaving, the earliest is its sender."""
    leaving: dict[Key, dict[str, list[tuple[int, Segment]]]] = defaultdict(lambda: defaultdict(list))
    coming: dict[tuple[Key, str], list[tuple[int, Segment]]] = defaultdict(list)
    for capture in captures:
        node = capture.record.node
        for frame in capture.frames:
            segment = parse(frame.data)
            if segment is None:
                continue
            if frame.sent:
                leaving[segment.key][node].append((frame.time_ns, segment))
            else:
                coming[segment.key, node].append((frame.time_ns, segment))
    found = {}
    for key, nodes in leaving.items():
        node = min(nodes, key=lambda name: min(nodes[name], key=_time)[0])
        source, sport, destination, dport = key
        answers = coming.get(((destination, dport, source, sport), node), [])
        found[key] = _Direction(key, node, sorted(nodes[node], key=_time), sorted(answers, key=_time))
    return found


def _time(entry: tuple[int, Segment]) -> int:
    return entry[0]


def _tcp(direction: _Direction, epoch_ns: int, points: int) -> dict[str, Any]:
    """Make the curves of one direction: segments, acknowledgements, SACK blocks; numbers count from the first byte."""
    count = _Counter()
    data: list[tuple[int, int, int, int]] = []
    highest = again = 0
    for time_ns, segment in direction.sent:
        at = count(segment.seq)
        end = at + segment.length
        if segment.flags & RST:
            kind = RST_POINT
        elif segment.flags & SYN:
            kind = SYN_POINT
        elif segment.length and end <= highest:
            kind, again = AGAIN, again + 1
        elif segment.flags & FIN:
            kind = FIN_POINT
        elif segment.length:
            kind = DATA
        else:
            continue
        highest = max(highest, end)
        data.append((time_ns - epoch_ns, at, segment.length, kind))
    acks, sacks = _answers(direction, count)
    return {
        "name": name_of(direction.key),
        "node": direction.node,
        "bytes": highest - 1 if highest else 0,
        "segments": sum(1 for point in data if point[2]),
        "again": again,
        "data": _thinned(data, points, lambda point: point[3] != DATA),
        "acks": _thinned([(time_ns - epoch_ns, at, window) for time_ns, at, window in acks], points),
        "sacks": _thinned([(time_ns - epoch_ns, left, right) for time_ns, left, right in sacks], points),
    }


def _answers(direction: _Direction, count: _Counter) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """Give what came back: (time, acknowledged, end of the window) where one of them changed, and SACK blocks."""
    if count.first is None:
        return [], []
    relative = _Counter(count.first)
    acks: list[tuple[int, int, int]] = []
    sacks = []
    shift = 0
    for time_ns, segment in direction.answers:
        if segment.flags & SYN and segment.wscale is not None:
            shift = segment.wscale
        if not segment.flags & ACK:
            continue
        at = relative(segment.ack)
        window = at + (segment.window << (0 if segment.flags & SYN else shift))
        if not acks or acks[-1][1:] != (at, window):
            acks.append((time_ns, at, window))
        for left, right in segment.sack:
            start = _Counter(count.first, at)(left)
            sacks.append((time_ns, start, start + (right - left) % _WHOLE))
    return acks, sacks


def _thinned(rows: list[Any], most: int, keep: Any = None) -> dict[str, Any]:
    """Leave out rows evenly beyond ``most``, and give the rest as columns of differences, which compress well."""
    total = len(rows)
    if total > most:
        marked = [index for index, row in enumerate(rows) if keep is not None and keep(row)][:most]
        step = max(1.0, total / max(1, most - len(marked)))
        even = {int(number * step) for number in range(int(total / step))}
        rows = [rows[index] for index in sorted(even.union(marked, (total - 1,)))]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return {"total": total, "shown": len(rows), "columns": [_differences(column) for column in columns]}


def _differences(column: list[int]) -> list[int]:
    return [after - before for before, after in itertools.pairwise([0, *column])]


@dataclass
class _Connection:
    """One direction of an MPTCP connection: the flows that carry it."""

    subflows: list[_Direction]

    @property
    def data_bytes(self) -> int:
        """Bytes of all its subflows."""
        return sum(subflow.data_bytes for subflow in self.subflows)


def _connections(directions: dict[Key, _Direction]) -> list[_Connection]:
    """Join subflows: a join names its connection by a token, which is the beginning of the SHA-256 of a key."""
    by_token: dict[bytes, Key] = {}
    joined: dict[Key, Key] = {}  # the flow from the initiator to that of the connection's first subflow
    joins: list[tuple[Key, bytes]] = []
    firsts: dict[Key, None] = {}
    for direction in directions.values():
        for _, segment in direction.sent:
            for option in segment.mptcp:
                subtype = option[0] >> 4
                if subtype == _MP_CAPABLE and len(option) >= _ACK_KEYS_BYTES and not segment.flags & SYN:
                    firsts[direction.key] = None
                    for secret in (option[2:10], option[10:18]):
                        by_token[hashlib.sha256(secret).digest()[:4]] = direction.key
                elif subtype == _MP_JOIN and segment.flags & SYN and not segment.flags & ACK:
                    joins.append((direction.key, option[2:6]))
    for key, token in joins:
        if token in by_token:
            joined[key] = by_token[token]
    found = []
    for first in firsts:
        # A subflow may be opened by either side; what matters is from which end of the connection it carries data.
        members = [first, *dict.fromkeys(key for key, owner in joined.items() if owner == first)]
        for turned in (False, True):
            keys = [_turned(key) if turned else key for key in members]
            subflows = [directions[key] for key in keys if key in directions]
            connection = _Connection(subflows)
            if connection.data_bytes:
                found.append(connection)
    return found


def _turned(key: Key) -> Key:
    return key[2], key[3], key[0], key[1]


def _mptcp(connection: _Connection, epoch_ns: int, points: int) -> dict[str, Any]:
    """Make the curve of data sequence numbers over all subflows, and of data acknowledgements."""
    placed = sorted(
        (time_ns, number, start, length)
        for number, subflow in enumerate(connection.subflows)
        for time_ns, start, length in _placed(subflow)
    )
    count = _Counter()
    data = [(time_ns - epoch_ns, count(start), length, number) for time_ns, number, start, length in placed]
    carried: Counter[int] = Counter()
    for _, _, length, number in data:
        carried[number] += length
    return {
        "name": name_of(connection.subflows[0].key),
        "node": connection.subflows[0].node,
        "subflows": [
            {"name": name_of(subflow.key), "bytes": carried[number]}
            for number, subflow in enumerate(connection.subflows)
        ],
        "bytes": max((at + length for _, at, length, _ in data), default=0),
        "data": _thinned(data, points),
        "acks": _thinned(_data_acks(connection, count, epoch_ns), points),
    }


def _placed(subflow: _Direction) -> Iterator[tuple[int, int, int]]:
    """Give for each segment with data its time, data sequence number (32 bit) and length.

    A mapping can be longer than the segment that carries it, and each piece of a large segment carries it again; a
    segment without one belongs to the last.
    """
    count = _Counter()
    mapping: tuple[int, int] | None = None
    for time_ns, segment in subflow.sent:
        at = count(segment.seq)  # the SYN is 0, so the first byte is 1, as mappings count
        mapping = _mapping(segment.mptcp) or mapping
        if segment.length and mapping is not None:
            data_number, subflow_number = mapping
            yield time_ns, (data_number + at - subflow_number) % _WHOLE, segment.length


def _data_acks(connection: _Connection, count: _Counter, epoch_ns: int) -> list[tuple[int, int]]:
    if count.first is None:
        return []
    relative = _Counter(count.first)
    answers = sorted(
        (time_ns, segment.mptcp) for subflow in connection.subflows for time_ns, segment in subflow.answers
    )
    found: list[tuple[int, int]] = []
    for time_ns, options in answers:
        for acknowledged in _acknowledged(options):
            at = relative(acknowledged & (_WHOLE - 1))
            if not found or at > found[-1][1]:
                found.append((time_ns - epoch_ns, at))
    return found


def _mapping(options: Iterable[bytes]) -> tuple[int, int] | None:
    """Give the mapping (data sequence number, subflow's sequence number) of a DSS option (RFC 8684, 3.3)."""
    for option in options:
        if option[0] >> 4 != _DSS or len(option) < 2 or not option[1] & 4:
            continue
        at = 2 + ((8 if option[1] & 2 else 4) if option[1] & 1 else 0)
        wide = 8 if option[1] & 8 else 4
        if len(option) >= at + wide + 6:
            return int.from_bytes(option[at : at + wide]), int.from_bytes(option[at + wide : at + wide + 4])
    return None


def _acknowledged(options: Iterable[bytes]) -> list[int]:
    """Give the data acknowledgements of DSS options."""
    found = []
    for option in options:
        if option[0] >> 4 == _DSS and len(option) >= 2 and option[1] & 1:
            wide = 8 if option[1] & 2 else 4
            if len(option) >= 2 + wide:
                found.append(int.from_bytes(option[2 : 2 + wide]))
    return found
