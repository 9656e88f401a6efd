# SPDX-License-Identifier: MIT
"""DCCP: connections of datagrams, with service codes and a choice of congestion controls (RFC 4340, 4341, 4342)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from suites.common.timer_wheel import backoff_s
from suites.common.transfer import PORT
from suites.transport import dccp_wire
from suites.transport.dccp_wire import BAD_SERVICE_CODE, CLOSED, NO_CONNECTION, Kind
from suites.transport.scenario import RTT_S, both_versions, bottleneck, wire
from testbed.backends.sockets import IPPROTO_DCCP, SOCK_DCCP, SOL_DCCP, NetworkTimeout

if TYPE_CHECKING:
    from suites.transport.dccp_wire import Datagram
    from suites.transport.hosts import Hosts
    from testbed.backends.sockets import RemoteSocket

pytestmark = pytest.mark.requires("dccp", "netem")

SERVICE, AVAILABLE_CCIDS, CCID, TX_CCID = 2, 12, 13, 14  # DCCP_SOCKOPT_*, include/uapi/linux/dccp.h
FIRST_TIMEOUT_S = 3.0  # DCCP_TIMEOUT_INIT, net/dccp/dccp.h
RECEIVED, NOT_RECEIVED = 0, 3  # states of ack vectors, section 11.4.1
COUNT = 200
WORDS = ["--size", "1000"]


def service(code: int) -> tuple[int, int, bytes]:
    """Give the option that sets a service code."""
    return (SOL_DCCP, SERVICE, struct.pack("!I", code))


def connect(hosts: Hosts, client_code: int = 42, server_code: int = 42) -> tuple[RemoteSocket, RemoteSocket]:
    """Connect with service codes."""
    return hosts.connect(
        kind=SOCK_DCCP, protocol=IPPROTO_DCCP, client=[service(client_code)], server=[service(server_code)]
    )


def at(hosts: Hosts, end: str) -> list[Datagram]:
    """Give the DCCP packets at a host."""
    return dccp_wire.datagrams(hosts.network, "h1-h2", end)


def states(packet: Datagram) -> dict[int, int]:
    """Give what a packet's ack vector says: sequence number to state."""
    found: dict[int, int] = {}
    number = packet.acknowledgement
    for state, length in packet.ack_vector():
        found.update((number - back, state) for back in range(length))
        number -= length
    return found


@wire
@both_versions
def test_three_packets_open_a_connection(hosts: Hosts) -> None:
    """Request, Response, Ack; the first two have the service code, and each acknowledges the one before."""
    connect(hosts)
    hosts.network.sleep(RTT_S)
    request, response, ack = at(hosts, "h1")[:3]
    assert [packet.kind for packet in (request, response, ack)] == [Kind.REQUEST, Kind.RESPONSE, Kind.ACK]
    assert request.service == response.service == 42
    assert response.acknowledgement == request.sequence
    assert ack.acknowledgement == response.sequence
    assert ack.sequence == request.sequence + 1


@wire
def test_other_service_code_is_refused(hosts: Hosts) -> None:
    """A Request with a service code that the listener does not have is answered by Reset, "Bad Service Code"."""
    with pytest.raises(OSError, match=r"Invalid request code|refused"):
        connect(hosts, client_code=1, server_code=2)
    assert [packet.reset_code for packet in at(hosts, "h1") if packet.kind is Kind.RESET] == [BAD_SERVICE_CODE]


@wire
@both_versions
def test_closed_port_resets_the_connection(hosts: Hosts) -> None:
    """A Request to a port where nobody listens is answered by Reset, "No Connection"."""
    connecting = hosts.open(hosts.client, SOCK_DCCP, IPPROTO_DCCP)
    connecting.setsockopt(*service(42))
    with pytest.raises(ConnectionRefusedError):
        connecting.connect((hosts.server_address, PORT))
    request, reset = at(hosts, "h1")
    assert (reset.kind, reset.reset_code) == (Kind.RESET, NO_CONNECTION)
    assert reset.acknowledgement == request.sequence


@wire
@both_versions
def test_close_is_answered_by_reset(hosts: Hosts) -> None:
    """Close from the client, Reset with the code "Closed" from the server; then the stream of datagrams ends."""
    client, server = connect(hosts)
    client.send(b"last words")
    assert server.recv(100) == b"last words"
    hosts.network.sleep(RTT_S)
    client.close()
    assert server.recv(100) == b""
    server.close()
    hosts.network.sleep(2 * RTT_S)
    ending = [packet for packet in at(hosts, "h1") if packet.kind in (Kind.CLOSE, Kind.RESET)]
    assert [packet.kind for packet in ending] == [Kind.CLOSE, Kind.RESET]
    assert ending[1].reset_code == CLOSED


@wire
@pytest.mark.real_time_budget(35)
def test_lost_request_is_sent_again_with_doubling_timeouts(hosts: Hosts) -> None:
    """Requests go out 3 s, 6 s, 12 s after each other, with numbers in a row."""
    hosts.black_hole()
    connecting = hosts.open(hosts.client, SOCK_DCCP, IPPROTO_DCCP)
    connecting.setsockopt(*service(42))
    connecting.timeout = 30.0
    with pytest.raises(NetworkTimeout):
        connecting.connect((hosts.server_address, PORT))
    found = at(hosts, "h1")
    expected = backoff_s(found[0].time_s, FIRST_TIMEOUT_S, 4)
    assert [packet.time_s for packet in found] == pytest.approx(expected, abs=1e-4)
    assert [packet.sequence - found[0].sequence for packet in found] == list(range(len(found)))


@wire
def test_datagrams_keep_their_boundaries(hosts: Hosts) -> None:
    """Three sends are three receives, in order on a clean link."""
    client, server = connect(hosts)
    words = [b"one", b"twenty" * 20, b"x"]
    for word in words:
        client.send(word)
    assert [server.recv(65536) for _ in words] == words


@wire
def test_kernel_offers_ccid_2_and_3(hosts: Hosts) -> None:
    """Both congestion controls are there, and 2, which is like TCP, is the default."""
    client, _ = connect(hosts)
    offered = client.getsockopt(SOL_DCCP, AVAILABLE_CCIDS, 16)
    assert isinstance(offered, bytes)
    assert set(offered) == {2, 3}
    assert client.getsockopt(SOL_DCCP, TX_CCID) == 2


@bottleneck
@both_versions
@pytest.mark.parametrize("ccid", [2, 3])
@pytest.mark.real_time_budget(10)
def test_ccid_is_negotiated_and_carries_datagrams(hosts: Hosts, ccid: int) -> None:
    """Both ends agree on the CCID; 2 reports by ack vectors, 3 by loss event rate and receive rate."""
    chosen = ["--ccid", str(ccid), *WORDS]
    sent, received = hosts.datagrams("dccp", COUNT, sender=[*chosen, "--interval", "0.005"], receiver=chosen)
    assert received["hash"] == sent["hash"]
    assert (received["wrong"], received["again"]) == ("0", "0")
    found = at(hosts, "h1")
    agreed = [
        value
        for packet in found
        for kind in (dccp_wire.OPTION_CONFIRM_L, dccp_wire.OPTION_CONFIRM_R)
        for value in packet.values(kind)
        if value[0] == dccp_wire.FEATURE_CCID
    ]
    assert agreed
    assert {value[1] for value in agreed} == {ccid}
    reports = [packet for packet in found if packet.source == hosts.server_address and packet.kind is Kind.ACK]
    assert any(packet.ack_vector() for packet in reports) == (ccid == 2)
    assert any(packet.values(dccp_wire.OPTION_RECEIVE_RATE) for packet in reports) == (ccid == 3)
    assert any(packet.values(dccp_wire.OPTION_LOSS_EVENT_RATE) for packet in reports) == (ccid == 3)


@wire
def test_ack_vector_names_the_datagram_that_was_lost(hosts: Hosts) -> None:
    """One datagram is lost: it is never sent again; ack vectors have it as "not yet received", its neighbours not."""
    client, server = connect(hosts)
    for number in range(8):
        hosts.black_hole(on=number == 5)
        client.send(bytes([number]) * 100)
        if number < 4:  # then the window is wide enough for four at once
            hosts.network.sleep(2 * RTT_S)
    assert [server.recv(200)[0] for _ in range(7)] == [0, 1, 2, 3, 4, 6, 7]
    hosts.network.sleep(RTT_S)
    data = [packet for packet in at(hosts, "h1") if packet.kind in (Kind.DATA, Kind.DATA_ACK) and packet.payload_bytes]
    assert len(data) == 8
    told = [states(packet) for packet in at(hosts, "h1") if packet.ack_vector()]
    missing = [{number for number, state in vector.items() if state == NOT_RECEIVED} for vector in told]
    lost = data[5].sequence
    assert set().union(*missing) == {lost}
    first = next(vector for vector in told if lost in vector)
    assert [first.get(packet.sequence) for packet in data[4:7]] == [RECEIVED, NOT_RECEIVED, RECEIVED]


@bottleneck
@pytest.mark.parametrize("ccid", [2, 3])
@pytest.mark.real_time_budget(60)
def test_loss_slows_the_sender_down(hosts: Hosts, ccid: int) -> None:
    """Who sends as fast as it may takes longer for the same datagrams on a lossy link, and keeps to the link's rate."""
    durations = []
    for port, loss_ratio in ((6000, 0.0), (6001, 0.2)):
        hosts.network.link("h1-h2").set(loss_ratio=loss_ratio)
        chosen = ["--ccid", str(ccid), *WORDS]
        began_s = hosts.network.now()
        _, received = hosts.datagrams("dccp", COUNT, sender=chosen, receiver=chosen, port=port)
        durations.append(hosts.network.now() - began_s)
        assert received["wrong"] == "0"
        assert int(received["received"]) > COUNT / 2
    clean_s, lossy_s = durations
    assert COUNT * 1000 * 8 / 10e6 < clean_s < lossy_s
