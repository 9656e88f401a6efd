# SPDX-License-Identifier: MIT
"""Sources and sinks: what they send and count, and what they refuse."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest

from tests.agent.client import SECOND, Agent, AgentError, Message
from tests.agent.test_network import address, packets

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = SECOND // 1000


def make(agent: Agent, node: str, kind: int = socket.SOCK_DGRAM) -> int:
    return int(agent.ask("socket", node=node, domain=socket.AF_INET, type=kind, protocol=0)["sock"])


def source(agent: Agent, sock: int, size: int, at: Sequence[int], addr: bytes | None = None) -> None:
    agent.ask("source", sock=sock, size=size, at=list(at), addr=addr)


def tally(agent: Agent, sock: int, of: str) -> Message:
    return agent.ask("tally", sock=sock, of=of)


@pytest.fixture
def sink(network: Agent) -> int:
    sock = make(network, "h2")
    network.ask("bind", sock=sock, addr=address("10.0.0.2", 7))
    network.ask("sink", sock=sock)
    return sock


def test_packets_go_at_their_times_and_are_counted(network: Agent, sink: int) -> None:
    sock = make(network, "h1")
    start = network.now + 500 * MS  # ample: a busy host may stop us for long
    source(network, sock, 100, [0, start, start, start + SECOND], address("10.0.0.2", 7))
    network.ask("sleep", until=start + 10 * MS)
    assert tally(network, sock, "source")["left"] == 1
    network.ask("sleep", until=start + 2 * SECOND)
    sent, got = tally(network, sock, "source"), tally(network, sink, "sink")
    assert (sent["messages"], sent["bytes"], sent["refused"], sent["left"], sent["errno"]) == (4, 400, 0, 0, None)
    assert (got["messages"], got["bytes"], got["connections"], got["ended"]) == (4, 400, 0, 0)
    assert got["first"] < start
    assert start + SECOND <= sent["last"] <= got["last"] <= start + 2 * SECOND
    frames = [bytes(p) for p in packets(network, 0, 1) if len(p) == 14 + 20 + 8 + 100]
    assert [int.from_bytes(frame[42:50], "big") for frame in frames] == [0, 1, 2, 3]
    assert {frame[50:] for frame in frames} == {b"\xa5" * 92}


def test_a_listening_sink_counts_all_its_connections(network: Agent) -> None:
    listener = make(network, "h2", socket.SOCK_STREAM)
    network.ask("bind", sock=listener, addr=address("0.0.0.0", 7))
    network.ask("listen", sock=listener, backlog=5)
    network.ask("sink", sock=listener)
    clients = [make(network, "h1", socket.SOCK_STREAM) for _ in range(3)]
    for client in clients:
        network.ask("connect", sock=client, addr=address("10.0.0.2", 7), timeout=SECOND)
        source(network, client, 1000, [0, 0])
    network.ask("close", sock=clients[0])
    network.ask("sleep", until=network.now + 50 * MS)
    got = tally(network, listener, "sink")
    assert (got["bytes"], got["connections"], got["ended"]) == (6000, 3, 1)
    network.ask("close", sock=listener)
    with pytest.raises(AgentError, match="is no sink"):
        tally(network, listener, "sink")


def test_an_error_is_kept_and_the_rest_is_sent(network: Agent) -> None:
    sock = make(network, "h1")
    network.ask("connect", sock=sock, addr=address("10.0.0.2", 9), timeout=SECOND)
    now = network.now
    source(network, sock, 10, [now, now + 20 * MS, now + 40 * MS])
    network.ask("sleep", until=now + 60 * MS)
    sent = tally(network, sock, "source")
    assert (sent["errno"], sent["left"], sent["bytes"] + sent["refused"]) == (errno.ECONNREFUSED, 0, 30)


def test_sockets_stay_usable_beside_their_traffic(network: Agent, sink: int) -> None:
    sock = make(network, "h1")
    source(network, sock, 10, [network.now + 10 * MS], address("10.0.0.2", 7))
    network.ask("send", sock=sock, data=b"by hand", addr=address("10.0.0.2", 7), flags=0, timeout=SECOND)
    assert network.run("h1", "sleep", "0.05")[0] == 0
    assert tally(network, sink, "sink")["bytes"] == 17


@pytest.mark.parametrize(
    ("size", "at", "complaint"),
    [(0, [0], r"has 1 to 1048576 bytes, not 0"), (1, [2, 1], "in ascending order"), (1 << 21, [0], "has 1 to")],
)
def test_a_wrong_source_is_refused(network: Agent, size: int, at: list[int], complaint: str) -> None:
    with pytest.raises(AgentError, match=f"^usage: .*{complaint}"):
        source(network, make(network, "h1"), size, at)


def test_a_socket_has_one_source_and_one_sink(network: Agent, sink: int) -> None:
    sock = make(network, "h1")
    source(network, sock, 1, [])
    with pytest.raises(AgentError, match="is a source already"):
        source(network, sock, 1, [])
    with pytest.raises(AgentError, match="is a sink already"):
        network.ask("sink", sock=sink)
    with pytest.raises(AgentError, match="is no source"):
        tally(network, sink, "source")
    with pytest.raises(AgentError, match="no open socket 99"):
        source(network, 99, 1, [])
