# SPDX-License-Identifier: MIT
"""TCP sockets, raw sockets, and names, as a program uses them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from suites.process_manager.behave import alone, table

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave
    from testbed.backends.network import Network

SECOND = 1_000_000_000
PORT = 5000
RTT_S = 0.020
pair = pytest.mark.scenario("pair", delay_ms=RTT_S / 2 * 1000)

TCP = {
    "both-directions": "there and back",
    "names-of-both-ends": f"to 127.0.0.1 port {PORT}",
    "nobody-listens": "refused after 0 ns",
    "port-in-use": "EADDRINUSE",
    "accept-times-out": f"gave up after {SECOND * 5 // 2} ns from 0 ns",
    "receive-times-out": f"gave up after {SECOND * 3 // 2} ns from 0 ns",
    "send-times-out": f"gave up after {SECOND * 3} ns from 0 ns",
    "without-blocking": "EAGAIN",
    "connect-without-blocking": "EINPROGRESS, then 0 or ECONNREFUSED",
    "select-waits-for-bytes": f"readable after {SECOND * 7 // 2} ns",
    "one-direction-ends": "request, end, answer, end",
    "reading-is-shut-down": "end at once",
    "peer-is-gone": "end, then EPIPE and SIGPIPE",
    "reset-on-close": "ECONNRESET, then the end",
    "unread-bytes-reset": "ECONNRESET",
    "peeked-and-all": f"part part part  after {3 * SECOND} ns",
    "urgent-byte": "beside the stream",
    "options": "options",
    "full-backlog": "gave up after 3 s",
}
REQUEST = "GET /index.html HTTP/1.0\r\nHost: h2\r\n\r\n"


@alone
@table(TCP)
def test_tcp(behave: Behave, behaviour: str, expected: str) -> None:
    """The socket interface of TCP: time-outs, non-blocking use, ends and errors (tcp(7))."""
    behave("tcp-socket", behaviour, expected=expected)


@pair
@pytest.mark.parametrize("kind", ["raw", "packet"])
def test_capture_of_a_request(behave: Behave, kind: str) -> None:
    """A raw socket and a packet socket of the server's node see a client's HTTP GET (raw(7), packet(7))."""
    client, server = behave.network["h1"], behave.network["h2"]
    capture = server.spawn([behave.program(server, "capture"), kind, "80"])
    server.wait_file("/tmp/ready")
    with (
        server.socket(socket.AF_INET, socket.SOCK_STREAM) as listener,
        client.socket(socket.AF_INET, socket.SOCK_STREAM) as asking,
    ):
        listener.bind(("0.0.0.0", 80))
        listener.listen(1)
        asking.connect((server.address(), 80))
        asking.send(REQUEST.encode())
        done = capture.wait().check()
    assert done.stdout == f"from {client.address()}: {len(REQUEST)} bytes\n{REQUEST}"


@pair
def test_names_of_a_nodes_own_hosts_file(behave: Behave) -> None:
    """Two nodes with different /etc/hosts find different addresses of one name, and different names of one address."""
    for node, address in (("h1", "192.0.2.1"), ("h2", "192.0.2.2")):
        place = behave.network[node]
        place.write("/etc/nsswitch.conf", "hosts: files\nservices: files\nprotocols: files\n")
        place.write("/etc/hosts", f"{address} server.example\n192.0.2.9 of-{node}\n2001:db8::9 of-{node}\n")
        place.write("/etc/services", "domain 53/udp\nhttp 80/tcp\nspecial 4321/tcp\n")
        behave("name-lookup", "forward", "server.example", expected=f"server.example: {address}", node=node)
        behave("name-lookup", "backward", "192.0.2.9", expected=f"of-{node} http", node=node)
        both = f"of-{node}: 2001:db8::9\nof-{node}: 192.0.2.9"
        found = place.run([behave.program(place, "name-lookup"), "both-versions", f"of-{node}"]).stdout
        assert sorted(found.splitlines()) == sorted(both.splitlines())
        missing = "missing: Name or service not known"
        behave("name-lookup", "forward", "missing", expected=missing, node=node)
        lines = "domain/udp is 53, tcp is 6\n4321/tcp is special"
        behave("name-lookup", "services-and-protocols", expected=lines, node=node)


@alone
def test_hosts_by_the_functions_of_old(behave: Behave) -> None:
    """Both gethostbyname and gethostbyaddr read the hosts file, aliases too; h_errno says that there is none."""
    node = behave.network["h1"]
    node.write("/etc/nsswitch.conf", "hosts: files\n")
    node.write("/etc/hosts", "192.0.2.1 server.example server www\n192.0.2.9 other\n")
    found = "server.example alias server alias www 192.0.2.1"
    lines = f"www: {found}\nmissing: Unknown host\n192.0.2.1: {found}\n203.0.113.1: Unknown host"  # HOST_NOT_FOUND
    behave("name-lookup", "hosts-of-old", "www", "192.0.2.1", expected=lines)


@alone
def test_tables_of_services_and_protocols(behave: Behave) -> None:
    """With getservent and getprotoent a program walks through the node's own files, in their order."""
    node = behave.network["h1"]
    node.write("/etc/nsswitch.conf", "services: files\nprotocols: files\n")
    node.write("/etc/services", "special 4321/tcp alias\n# none\nother 99/udp\n")
    node.write("/etc/protocols", "tcp 6 TCP\nsctp 132 SCTP # streams\n")
    services = "special 4321 tcp\nother 99 udp\n"
    lines = f"{services}{services}tcp 6 TCP\nsctp 132 SCTP\n132 is sctp"
    behave("name-lookup", "all-services-and-protocols", expected=lines)


@pair
def test_addresses_as_text(behave: Behave) -> None:
    """Numeric addresses of both versions, to and from text (inet(3), inet_pton(3)), and names of interfaces."""
    numeric = (
        "192.0.2.7: 192.0.2.7\n2001:db8::7: 2001:db8::7\nname: Name or service not known\n"
        "2001:db8::1:0:0:1\n3412 78563412"
    )
    behave("name-lookup", "numeric", expected=numeric)
    behave("name-lookup", "interfaces", expected="lo\neth0")


@pair
def test_name_server_of_a_nodes_own_resolv_conf(network: Network, behave: Behave) -> None:
    """A node whose resolv.conf names the other node asks it; the answer is one round trip away."""
    client, server = network["h1"], network["h2"]
    client.write("/etc/nsswitch.conf", "hosts: dns\n")
    client.write("/etc/resolv.conf", f"nameserver {server.address()}\n")
    with server.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", 53))
        asking = client.spawn([behave.program(client, "name-lookup"), "forward", "www.example", "timed"])
        query, asker = listener.recvfrom(512)
        assert b"\x03www\x07example\x00" in query
        listener.sendto(answer(query, "192.0.2.80"), asker)
        name, took = asking.wait().check().stdout.splitlines()
    assert name == "www.example: 192.0.2.80"
    assert took.startswith("answered after ")
    # The first packet also waits for the neighbour's address: another round trip.
    assert int(took.split()[2]) / SECOND == pytest.approx(2 * RTT_S, abs=0.002)


@pair
@pytest.mark.real_time_budget(10)
def test_name_server_that_does_not_answer(network: Network, behave: Behave) -> None:
    """Two attempts of 5 s each, as resolv.conf(5) says, and then a name cannot be found for now."""
    client, server = network["h1"], network["h2"]
    client.write("/etc/nsswitch.conf", "hosts: dns\n")
    client.write("/etc/resolv.conf", f"nameserver {server.address()}\n")
    with server.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("0.0.0.0", 53))
        argv = [behave.program(client, "name-lookup"), "forward", "www.example.", "timed"]
        name, took = client.run(argv).stdout.splitlines()
    assert name == "www.example.: Temporary failure in name resolution"
    assert int(took.split()[2]) / SECOND == pytest.approx(10.0, abs=0.05)


def answer(query: bytes, address: str) -> bytes:
    """Answer a query for an address: a header, the question, and an A record (RFC 1035, section 4)."""
    number, question = query[:2], query[12:]
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(address)
    return number + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + question + record
