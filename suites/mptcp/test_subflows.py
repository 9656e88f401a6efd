# SPDX-License-Identifier: MIT
"""How subflows come to be and what they carry (RFC 8684, sections 3.1 to 3.3)."""

from __future__ import annotations

import ipaddress
import json

import pytest

from suites.mptcp import mptcp_wire
from suites.mptcp.mptcp_wire import ACK, SYN, Subtype
from suites.mptcp.scenario import both_versions, needs_mptcp, two_paths
from suites.mptcp.transfer import Hosts, Path

pytestmark = [two_paths, needs_mptcp]

BYTES = 2_000_000
PATH_ONE_BPS = 5_000_000
KEY_BYTES = 8


@both_versions
def test_both_paths_carry_data(hosts: Hosts) -> None:
    """MP_CAPABLE opens path one, MP_JOIN path two, each between its own addresses, and both carry bytes."""
    hosts.use_both_paths()
    sent, received = hosts.send("--bytes", str(BYTES))
    assert (sent.mptcp, sent.extra_subflows, received.mptcp) == (True, 1, True)

    one, two = hosts.at_server(Path.ONE), hosts.at_server(Path.TWO)
    for found, subtype, path in ((one, Subtype.MP_CAPABLE, Path.ONE), (two, Subtype.MP_JOIN, Path.TWO)):
        first = found[0]
        assert first.flags == SYN
        assert first.has(subtype)
        assert (first.source, first.destination) == (hosts.client_address(path), hosts.server_address(path))
    carried = [
        mptcp_wire.payload_of(found, hosts.client_address(path)) for found, path in ((one, Path.ONE), (two, Path.TWO))
    ]
    assert min(carried) > BYTES // 100
    assert sum(carried) >= BYTES


@both_versions
def test_subflow_from_a_client_endpoint(hosts: Hosts) -> None:
    """A client endpoint of kind subflow joins from its own address to the address of the first subflow."""
    hosts.limits()
    hosts.endpoint(hosts.client, hosts.client_address(Path.TWO), "subflow")
    sent, _ = hosts.send("--bytes", str(BYTES))
    assert sent.extra_subflows == 1
    join = mptcp_wire.with_option(hosts.at_client(Path.TWO), Subtype.MP_JOIN)[0]
    assert (join.source, join.destination) == (hosts.client_address(Path.TWO), hosts.server_address(Path.ONE))
    assert mptcp_wire.payload_of(hosts.at_client(Path.TWO), hosts.client_address(Path.TWO)) > BYTES // 100


@both_versions
def test_unmodified_program_under_mptcpize_uses_both_paths(hosts: Hosts) -> None:
    """An iperf3 that knows nothing of MPTCP connects over path one, and gets several times what that can carry."""
    hosts.use_both_paths()
    hosts.server.spawn(["mptcpize", "run", "iperf3", "-s", "-1", f"-{hosts.version}"])
    hosts.server.wait_listen(5201)
    argv = ["mptcpize", "run", "iperf3", "-c", hosts.server_address(Path.ONE), "-B", hosts.client_address(Path.ONE)]
    report = json.loads(hosts.client.run([*argv, "-n", str(BYTES), "--json"]).stdout)
    assert report["end"]["sum_sent"]["bytes"] >= BYTES
    assert report["end"]["sum_sent"]["bits_per_second"] > 2 * PATH_ONE_BPS
    assert mptcp_wire.with_option(hosts.at_server(Path.TWO), Subtype.MP_JOIN)
    for path in Path:
        assert mptcp_wire.payload_of(hosts.at_server(path), hosts.client_address(path)) > 100_000


def test_without_endpoints_there_is_one_subflow(hosts: Hosts) -> None:
    """Nothing is announced and nothing joined by itself: path two stays silent."""
    sent, _ = hosts.send("--bytes", "100000")
    assert (sent.mptcp, sent.extra_subflows) == (True, 0)
    assert hosts.at_client(Path.TWO) == []


def test_subflow_limit_of_zero_forbids_joins(hosts: Hosts) -> None:
    """With the limit of subflows at 0 an announced address is not joined."""
    hosts.limits(subflows=0, accepted=2)
    hosts.announce(Path.TWO)
    sent, _ = hosts.send("--bytes", "100000")
    assert (sent.mptcp, sent.extra_subflows) == (True, 0)
    assert mptcp_wire.with_option(hosts.at_client(Path.TWO), Subtype.MP_JOIN) == []


@pytest.mark.parametrize("most", [1, 2])
def test_client_joins_no_more_than_the_limit(hosts: Hosts, most: int) -> None:
    """Of two endpoints of its own the client joins from as many as its limit of subflows says, and no more."""
    hosts.limits(subflows=most, accepted=0)
    hosts.server.run(["ip", "mptcp", "limits", "set", "subflows", "2"])
    address = ipaddress.ip_address(hosts.client_address(Path.TWO))
    spare = str(address + 100)
    hosts.client.run(["ip", "address", "add", f"{spare}/24", "dev", hosts.client.interface("r2").name])
    for own in (str(address), spare):
        hosts.endpoint(hosts.client, own, "subflow")
    sent, _ = hosts.send("--bytes", "100000")
    joins = [segment for path in Path for segment in mptcp_wire.with_option(hosts.at_client(path), Subtype.MP_JOIN)]
    assert len({segment.source for segment in joins if segment.flags == SYN}) == most
    assert sent.extra_subflows == most


@both_versions
def test_join_is_authenticated_by_the_keys_of_the_first_subflow(hosts: Hosts) -> None:
    """MP_JOIN has the token of the server's key, and both HMACs are those of the keys and nonces (section 3.2)."""
    hosts.use_both_paths()
    hosts.send("--bytes", str(BYTES))
    third = next(
        segment
        for segment in mptcp_wire.with_option(hosts.at_client(Path.ONE), Subtype.MP_CAPABLE)
        if segment.flags & (SYN | ACK) == ACK
    )
    keys = third.option(Subtype.MP_CAPABLE).body[1:]
    client_key, server_key = keys[:KEY_BYTES], keys[KEY_BYTES : 2 * KEY_BYTES]

    syn, syn_ack, ack = mptcp_wire.with_option(hosts.at_client(Path.TWO), Subtype.MP_JOIN)[:3]
    assert [segment.flags & (SYN | ACK) for segment in (syn, syn_ack, ack)] == [SYN, SYN | ACK, ACK]
    asked, answered, confirmed = (segment.option(Subtype.MP_JOIN).body for segment in (syn, syn_ack, ack))
    client_nonce, server_nonce = asked[5:9], answered[9:13]
    assert int.from_bytes(asked[1:5]) == mptcp_wire.token(server_key)
    assert answered[1:9] == mptcp_wire.join_hmac(server_key, client_key, server_nonce, client_nonce)[:8]
    assert confirmed[1:21] == mptcp_wire.join_hmac(client_key, server_key, client_nonce, server_nonce)[:20]


@both_versions
def test_data_sequence_mappings_cover_every_byte(hosts: Hosts) -> None:
    """The DSS mappings of both subflows together name each byte of the stream, and leave no hole (section 3.3.1)."""
    hosts.use_both_paths()
    sent, _ = hosts.send("--bytes", str(BYTES))
    mappings = [
        mapping
        for path in Path
        for segment in mptcp_wire.with_option(hosts.at_client(path), Subtype.DSS)
        if segment.source == hosts.client_address(path) and segment.payload_bytes
        if (mapping := segment.option(Subtype.DSS).mapping) is not None
    ]
    covered = sorted(mappings)
    end = covered[0][0]
    for number, length in covered:
        assert number <= end, f"a hole of {number - end} bytes"
        end = max(end, number + length)
    assert end - covered[0][0] >= sent.bytes


@pytest.mark.parametrize("side", ["client", "server"])
def test_peer_without_mptcp_is_served_by_tcp(hosts: Hosts, side: str) -> None:
    """Where one side is plain TCP, the other falls back to it at the handshake, and all bytes arrive (section 3.7)."""
    hosts.use_both_paths()
    plain = ("--protocol", "tcp")
    options = ("--bytes", "100000", *(plain if side == "client" else ()))
    sent, received = hosts.send(*options, receiver=plain if side == "server" else ())
    assert (sent.mptcp, received.mptcp) == (False, False)
    answers = [segment for segment in hosts.at_client(Path.ONE) if segment.flags & (SYN | ACK) == SYN | ACK]
    assert len(answers) == 1
    assert not answers[0].options
    assert hosts.at_client(Path.TWO) == []


def test_addresses_of_the_paths_are_four_different_ones(hosts: Hosts) -> None:
    """The scenario gives each path a subnet of its own at both ends, so that a source address tells the path."""
    found = {
        ipaddress.ip_address(address(path)) for path in Path for address in (hosts.client_address, hosts.server_address)
    }
    assert len(found) == 4
