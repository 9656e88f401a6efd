# SPDX-License-Identifier: MIT
"""SCTP between hosts with two addresses each: heartbeats, failing paths, changing addresses (RFC 9260, 6.4, 8)."""

from __future__ import annotations

import errno
import ipaddress
import itertools
from socket import SOCK_STREAM
from typing import TYPE_CHECKING

import pytest

from suites.common import transfer
from suites.common.errors import raises_errno
from suites.common.timer_wheel import fires_s
from suites.common.transfer import PORT
from suites.transport import sctp_options, sctp_wire
from suites.transport.hosts import FOREVER_MS, sysctl
from suites.transport.scenario import both_versions
from suites.transport.sctp_options import IPPROTO_SCTP, NODELAY
from suites.transport.sctp_wire import Kind

if TYPE_CHECKING:
    from suites.common.transfer import Transfer
    from suites.transport.hosts import Hosts
    from suites.transport.sctp_wire import Chunk
    from testbed.backends.node import Node
    from testbed.backends.sockets import RemoteSocket

pytestmark = [
    pytest.mark.scenario("two_path", rate_bps=10_000_000, delay_ms=10),
    pytest.mark.requires("sctp", "netem"),
]

HEARTBEAT_S = 2.0
PATHS = ("r1", "r2")
ADDRESS_PARAMETER = {4: 5, 6: 6}  # types of parameters of an INIT, section 3.3.2.1
CONFIRMED_S = 10.0  # by then a heartbeat has been answered on the second path: before that nothing is sent there
RATE_BPS = 1_000_000
LEAST_RTO_S = 1.0  # net.sctp.rto_min
EXACT_S = 1e-4


def configure(hosts: Hosts, **values: int) -> None:
    """Set net.sctp.* of both hosts: quick heartbeats, and what a test needs beside."""
    for node in (hosts.client, hosts.server):
        for name, value in {"hb_interval": int(HEARTBEAT_S * 1000), "path_max_retrans": 2, **values}.items():
            sysctl(node, f"net.sctp.{name}", value)


def addresses(hosts: Hosts, node: Node) -> list[str]:
    """Give a host's addresses, that on path one first."""
    links = {"h1": [f"h1-{path}" for path in PATHS], "h2": [f"{path}-h2" for path in PATHS]}[node.name]
    return [node.address(hosts.version, link) for link in links]


def associate(hosts: Hosts) -> tuple[RemoteSocket, RemoteSocket]:
    """Make an association between all four addresses, which begins on path one."""
    client_addresses, server_addresses = (addresses(hosts, node) for node in (hosts.client, hosts.server))
    listener = hosts.open(hosts.server, SOCK_STREAM, IPPROTO_SCTP)
    listener.bind((server_addresses[0], PORT))
    sctp_options.add_address(listener, server_addresses[1], PORT)
    listener.listen()
    client = hosts.open(hosts.client, SOCK_STREAM, IPPROTO_SCTP)
    client.setsockopt(*NODELAY)
    client.bind((client_addresses[0], 0))
    sctp_options.add_address(client, client_addresses[1], client.getsockname()[1])
    client.connect((server_addresses[0], PORT))
    server, _ = listener.accept()
    return client, server


def start(hosts: Hosts, seconds: float) -> Transfer:
    """Start a transfer between all four addresses, which begins on path one, at RATE_BPS."""
    own, far = (addresses(hosts, node) for node in (hosts.client, hosts.server))
    return transfer.start(
        hosts.program,
        hosts.client,
        hosts.server,
        far[0],
        protocol="sctp",
        listen=far[0],
        sender=["--from", own[0], "--from", own[1], "--seconds", str(seconds), "--rate", str(RATE_BPS)],
        receiver=["--also", far[1]],
    )


def on_path(hosts: Hosts, path: str, *kinds: Kind) -> list[Chunk]:
    """Give the chunks of some types that reach the server or leave it on a path."""
    return sctp_wire.of_kind(sctp_wire.chunks(hosts.network, f"{path}-h2", "h2"), *kinds)


def data_on(hosts: Hosts, path: str) -> list[Chunk]:
    """Give the data chunks of the client that reach the server on a path."""
    return [chunk for chunk in on_path(hosts, path, Kind.DATA) if chunk.source in addresses(hosts, hosts.client)]


def payload(chunks: list[Chunk], *, since_s: float = 0.0, until_s: float = 1e9) -> int:
    """Add up the payload of data chunks within a time, in bytes."""
    return sum(chunk.payload_bytes for chunk in chunks if since_s <= chunk.time_s < until_s)


@both_versions
def test_handshake_tells_all_addresses(hosts: Hosts) -> None:
    """INIT and INIT-ACK each list both addresses of their sender."""
    associate(hosts)
    init, init_ack = on_path(hosts, "r1", Kind.INIT, Kind.INIT_ACK)
    for chunk, node in ((init, hosts.client), (init_ack, hosts.server)):
        told = [value for kind, value in chunk.parameters() if kind == ADDRESS_PARAMETER[hosts.version]]
        assert {str(ipaddress.ip_address(value)) for value in told} == set(addresses(hosts, node))


@both_versions
@pytest.mark.real_time_budget(20)
def test_heartbeats_keep_both_paths_known(hosts: Hosts) -> None:
    """An idle association sends heartbeats every interval plus RTO, with jitter, on each path; all are answered."""
    configure(hosts)
    associate(hosts)
    hosts.network.sleep(15.0)
    for path, address in zip(PATHS, addresses(hosts, hosts.client), strict=True):
        asked = [chunk for chunk in on_path(hosts, path, Kind.HEARTBEAT) if chunk.source == address]
        answered = [chunk for chunk in on_path(hosts, path, Kind.HEARTBEAT_ACK) if chunk.destination == address]
        assert len(asked) == len(answered) >= 3
        assert [chunk.body for chunk in asked] == [chunk.body for chunk in answered]
        pauses = [two.time_s - one.time_s for one, two in itertools.pairwise(asked[1:])]
        assert min(pauses) > HEARTBEAT_S
        assert max(pauses) < HEARTBEAT_S + 3.0


@both_versions
def test_data_takes_the_first_path_only(hosts: Hosts) -> None:
    """The second path is for the time that the first does not work: SCTP does not share load between them."""
    start(hosts, 1.0).finish()
    assert payload(data_on(hosts, "r1")) >= RATE_BPS / 8
    assert data_on(hosts, "r2") == []


@both_versions
@pytest.mark.parametrize("fault", ["cut", "silent"])
@pytest.mark.real_time_budget(40)
def test_transfer_survives_the_failure_of_its_path(hosts: Hosts, fault: str) -> None:
    """Path one fails in the middle: what was lost is repeated on path two, the rest follows there."""
    configure(hosts)
    running = start(hosts, 8.0)
    hosts.network.sleep(2.0)
    link = hosts.network.link("h1-r1")
    if fault == "cut":
        link.cut()
    else:
        link.set(loss_ratio=1.0)
    failed_s = hosts.network.now()
    sent, _ = running.finish()
    first, second = (data_on(hosts, path) for path in PATHS)
    assert payload(first, until_s=failed_s) > RATE_BPS / 8
    assert payload(first, since_s=failed_s + 0.1) == 0
    assert payload(second, until_s=failed_s) == 0
    assert payload(first) + payload(second) >= sent.bytes
    assert payload(second, since_s=failed_s) > RATE_BPS / 8


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.real_time_budget(60)
def test_path_fails_once_its_errors_exceed_the_limit(hosts: Hosts, most: int) -> None:
    """Heartbeats without an answer are errors; the one more than path_max_retrans makes the path inactive (8.2)."""
    configure(hosts, path_max_retrans=most)
    client, _ = associate(hosts)
    hosts.network.sleep(CONFIRMED_S)
    assert sctp_options.primary_state(client) == sctp_options.ACTIVE
    hosts.network.link("h1-r1").set(loss_ratio=1.0)
    while sctp_options.primary_state(client) != sctp_options.INACTIVE:
        hosts.network.sleep(0.1)
    found = sctp_wire.chunks(hosts.network, "h1-r1", "h1")
    answered = {chunk.body for chunk in sctp_wire.of_kind(found, Kind.HEARTBEAT_ACK)}
    asked = [chunk for chunk in sctp_wire.of_kind(found, Kind.HEARTBEAT) if chunk.body not in answered]
    asked = [chunk for chunk in asked if chunk.source == addresses(hosts, hosts.client)[0]]
    assert len(asked) == most + 2  # the last one is the first question to a path that has failed


@both_versions
@pytest.mark.real_time_budget(40)
def test_first_path_is_used_again_once_it_answers(hosts: Hosts) -> None:
    """Heartbeats find that path one works again, and data returns to it: it is still the primary one (section 6.4)."""
    configure(hosts, rto_max=4000)  # a heartbeat waits for the interval and one and a half of this at most
    running = start(hosts, 20.0)
    hosts.network.sleep(2.0)
    link = hosts.network.link("h1-r1")
    link.set(loss_ratio=1.0)
    hosts.network.sleep(6.0)
    link.set(loss_ratio=0.0)
    back_s = hosts.network.now()
    running.finish()
    first, second = (data_on(hosts, path) for path in PATHS)
    assert payload(second, until_s=back_s) > RATE_BPS / 8
    returned = [chunk.time_s for chunk in first if chunk.time_s > back_s]
    answered = [chunk.time_s for chunk in on_path(hosts, "r1", Kind.HEARTBEAT_ACK) if chunk.time_s > back_s]
    assert answered[0] <= returned[0] < back_s + HEARTBEAT_S + 1.5 * 4.0 + 1.0
    assert payload(first, since_s=returned[0]) > RATE_BPS / 8
    assert payload(second, since_s=returned[0] + 1.0) == 0


@both_versions
def test_primary_path_can_be_chosen(hosts: Hosts) -> None:
    """SCTP_PRIMARY_ADDR moves the data of an association to the other address of the peer, and nothing is lost."""
    client, server = associate(hosts)
    hosts.network.sleep(CONFIRMED_S)
    client.send(b"one")
    assert server.recv(100) == b"one"
    sctp_options.prefer(client, addresses(hosts, hosts.server)[1], PORT)
    client.send(b"two")
    assert server.recv(100) == b"two"
    sizes = [[chunk.body[12:15] for chunk in data_on(hosts, path)] for path in PATHS]
    assert sizes == [[b"one"], [b"two"]]


@both_versions
@pytest.mark.real_time_budget(60)
def test_both_paths_lost_end_the_association(hosts: Hosts) -> None:
    """With both paths silent, the association is given up after association_max_retrans=4 retransmissions (8.1).

    Both paths are tried, each with a time-out of its own that doubles; the time-out of the last one ends the
    association with ETIMEDOUT.
    """
    most = 4
    configure(hosts, hb_interval=FOREVER_MS, pf_enable=0, association_max_retrans=most)  # a lost heartbeat is an error
    client, server = associate(hosts)
    hosts.network.sleep(CONFIRMED_S)
    client.send(b"one")
    assert server.recv(100) == b"one"
    hosts.network.sleep(1.0)
    for path in PATHS:
        hosts.network.link(f"h1-{path}").set(loss_ratio=1.0)
    client.send(b"two")
    client.timeout = None
    with raises_errno(errno.ETIMEDOUT):
        client.recv(1)
    ended_s = hosts.network.now()
    with raises_errno(errno.EINVAL):
        sctp_options.state(client)  # there is no association any more
    sent = sorted((chunk.time_s, path) for path in PATHS for chunk in two_at_client(hosts, path))
    assert len(sent) == 1 + most
    assert {path for _, path in sent} == set(PATHS)
    timeouts_s = dict.fromkeys(PATHS, LEAST_RTO_S)
    for (sent_s, path), (next_s, _) in itertools.pairwise([*sent, (ended_s, "")]):
        assert next_s == pytest.approx(fires_s(sent_s, timeouts_s[path]), abs=EXACT_S)
        timeouts_s[path] *= 2


def two_at_client(hosts: Hosts, path: str) -> list[Chunk]:
    """Give the data chunks with "two" that the client sends on a path."""
    sent = sctp_wire.of_kind(sctp_wire.chunks(hosts.network, f"h1-{path}", "h1"), Kind.DATA)
    return [chunk for chunk in sent if chunk.body[12:15] == b"two"]


@pytest.mark.real_time_budget(10)
def test_address_added_later_is_told_and_used(hosts: Hosts) -> None:
    """ASCONF tells an address that the server gets while the association is up; data can be sent to it (RFC 5061)."""
    configure(hosts, addip_enable=1, addip_noauth_enable=1)
    first, second = addresses(hosts, hosts.server)
    client, server = hosts.connect(kind=SOCK_STREAM, protocol=IPPROTO_SCTP, client=[NODELAY])
    with pytest.raises(OSError, match="Invalid argument"):
        sctp_options.prefer(client, second, PORT)
    sctp_options.add_address(server, second, PORT)
    hosts.network.sleep(1.0)
    asked, answered = on_path(hosts, "r1", Kind.ASCONF, Kind.ASCONF_ACK)
    assert ipaddress.ip_address(second).packed in asked.body
    assert (asked.source, answered.destination) == (first, first)
    sctp_options.prefer(client, second, PORT)
    client.send(b"new")
    assert server.recv(100) == b"new"
    data = [chunk for path in PATHS for chunk in data_on(hosts, path)]
    assert data[-1].destination == second
