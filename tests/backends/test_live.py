# SPDX-License-Identifier: MIT
"""The contract of a backend: the same tests pass on every one (on ``netns`` with the host's tolerance of time)."""

from __future__ import annotations

import errno
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from testbed.agent.protocol import NetworkTimeout
from testbed.backends.network import ProcessFailed, ProcessTimeout
from testbed.errors import CapabilityError
from testbed.scenarios.topology import Link, Node, Route, Topology

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.conftest import Up


@pytest.mark.parametrize("version", [4, 6])
def test_ping_over_pair(up: Up, version: int) -> None:
    network = up("pair")
    result = network["h1"].run(["ping", "-c2", "-i0.2", network["h2"].address(version)])
    assert "2 received" in result.stdout
    assert result.returncode == 0
    assert 0.2 <= result.duration_s < 5


@pytest.mark.parametrize("version", [4, 6])
def test_routes_over_chain(up: Up, version: int) -> None:
    network = up("chain", n=4)
    target = network["h2"].address(version)
    assert "1 received" in network["h1"].run(["ping", "-c1", target]).stdout
    assert f"ttl={62}" in network["h1"].run(["ping", "-c1", target]).stdout


def test_lan_every_host_reaches_the_next(up: Up) -> None:
    network = up("lan", n=10)
    for number in range(1, 10):
        result = network[f"h{number}"].run(["ping", "-c1", network[f"h{number + 1}"].address()])
        assert "1 received" in result.stdout


def test_every_link_of_a_large_lan_has_its_carrier_from_the_start(up: Up) -> None:
    hosts = 120  # links; the kernel tells of 100 or 200 interfaces' carriers at once, and of the others a second later
    network = up("lan", n=hosts)
    ports = [line for line in network["s1"].run("ip -o link").stdout.splitlines() if ": eth" in line]
    assert len(ports) == hosts
    assert [line for line in ports if " state UP " not in line] == []
    assert " state UP " in network[f"h{hosts}"].run("ip -o link show eth0").stdout
    assert "1 received" in network["h1"].run(["ping", "-c1", "-W1", network[f"h{hosts}"].address()]).stdout


@pytest.mark.guest
def test_hosts_of_a_lan_have_said_all_that_they_say_by_themselves_before_the_start(up: Up) -> None:
    network = up("lan", n=20)
    network.sleep(20)
    counts = [
        line.split(":")[1].split()
        for line in network["s1"].run("cat /proc/net/dev").stdout.splitlines()
        if "eth" in line
    ]
    assert [(count[1], count[9]) for count in counts] == [("0", "0")] * 20
    assert "Icmp6OutType143" in network["h1"].run("cat /proc/net/dev_snmp6/eth0").stdout, (
        "no host has reported its groups"
    )


def test_two_path_packets_leave_by_the_interface_of_their_source(up: Up) -> None:
    network = up("two_path")
    h1, h2 = network["h1"], network["h2"]
    for source in ("h1-r1", "h1-r2"):
        for target in ("r1-h2", "r2-h2"):
            command = ["ping", "-c1", "-I", h1.address(link=source), h2.address(link=target)]
            assert "1 received" in h1.run(command).stdout, (source, target)
    seen = {packet[IP].src for packet in network.link("h1-r2").packets("h1", lambda p: ICMP in p and p[ICMP].type == 8)}
    assert seen == {h1.address(link="h1-r2")}


def test_given_addresses_routes_and_sysctls_are_set(up: Up) -> None:
    topology = Topology(
        (Node("a", sysctls={"net.ipv4.ip_default_ttl": 9}), Node("b")),
        (Link("a", "b", mtu=1400, addresses_a=("192.168.7.1/24",), addresses_b=("192.168.7.2/24", "fd99::2/64")),),
        routes=(Route(node="a", dst="172.16.0.0/12", via="192.168.7.2", metric=7),),
    )
    network = up(topology)
    assert network["a"].read("/proc/sys/net/ipv4/ip_default_ttl") == b"9\n"
    shown = network["a"].run("ip route show 172.16.0.0/12").stdout
    assert "via 192.168.7.2 dev eth0" in shown
    assert "metric 7" in shown
    assert " mtu 1400 " in network["b"].run("ip link show eth0").stdout
    network["b"].wait_address("fd99::2")


@pytest.mark.netns
def test_sysctls_of_an_interface_are_set_before_it_goes_up(up: Up) -> None:
    without = "1"  # IN6_ADDR_GEN_MODE_NONE: no link-local address by itself, which it would get when it goes up
    topology = Topology(
        (Node("a", sysctls={"net.ipv6.conf.eth0.addr_gen_mode": without}), Node("b")), (Link("a", "b", mtu=1500),)
    )
    network = up(topology)
    assert "fe80::" not in network["a"].run("ip -6 addr show eth0").stdout
    assert "fe80::" in network["b"].run("ip -6 addr show eth0").stdout
    assert "1 received" in network["a"].run(["ping", "-c1", network["b"].address(version=6)]).stdout


def test_run_output_status_input_and_environment(up: Up) -> None:
    node = up("single")["h1"]
    done = node.run(
        ["sh", "-c", "cat; echo err >&2; echo $X; pwd; exit 3"], input="in\n", env={"X": "5"}, cwd="/tmp", check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("in\n5\n/tmp\n", "err\n", 3)
    big = node.run(["head", "-c", "3000000", "/dev/zero"])
    assert big.stdout_bytes == bytes(3_000_000)
    assert node.run(["sh", "-c", "kill -SEGV $$"], check=False).returncode == -signal.SIGSEGV


def test_run_failing_shows_its_last_words(up: Up) -> None:
    node = up("single")["h1"]
    with pytest.raises(ProcessFailed, match=r"(?s)^h1: sh -c .*: exit status 4 after .* s\nstderr:\n  broken$"):
        node.run(["sh", "-c", "echo broken >&2; exit 4"])


def test_run_past_its_time_is_killed_with_its_group(up: Up) -> None:
    network = up("single")
    with pytest.raises(
        ProcessTimeout, match=r"^h1: sh -c .*: killed after 0\.5 s of the network's time\nstdout:\n  begun$"
    ):
        network["h1"].run(["sh", "-c", "echo begun; sleep 1000 & sleep 1000"], timeout=0.5)
    assert 0.5 <= network.now() < 5
    assert network["h1"].run(["sh", "-c", "ps ax | grep -c '[s]leep 1000'"], check=False).stdout == "0\n"


def test_run_of_no_program_is_file_not_found(up: Up) -> None:
    with pytest.raises(FileNotFoundError, match=r"h1 has no program 'no-such-program'"):
        up("single")["h1"].run(["no-such-program"])


def test_spawn_stdin_output_kill_and_wait(up: Up) -> None:
    node = up("single")["h1"]
    process = node.spawn(["sh", "-c", "echo ready; touch /tmp/ready; read line; echo got $line; read more"], stdin=True)
    node.wait_file("/tmp/ready")
    assert process.stdout == "ready\n"
    assert process.running
    with pytest.raises(ProcessTimeout, match=r"^h1: sh -c .*: still runs after waiting 0\.1 s$"):
        process.wait(0.1)
    process.send_stdin("you\n")
    process.kill(signal.SIGKILL)
    done = process.wait()
    assert done.returncode == -signal.SIGKILL
    process.kill()
    cat = node.spawn(["cat"], stdin=True)
    cat.send_stdin(b"abc", eof=True)
    assert cat.wait().check().stdout == "abc"


def test_files_are_the_nodes_own(up: Up) -> None:
    network = up("pair")
    network["h1"].write("/tmp/deep/er/file", b"\x00\xff", 0o600)
    assert network["h1"].read("/tmp/deep/er/file") == b"\x00\xff"
    assert network["h1"].run("stat -c %a /tmp/deep/er/file").stdout == "600\n"
    with pytest.raises(FileNotFoundError):
        network["h2"].read("/tmp/no/such/file")


def test_a_program_of_the_host_is_installed_once_for_all_nodes(up: Up, tmp_path: Path) -> None:
    """Also from a place that nodes do not see; and what is there later is no longer the host's."""
    network = up("pair")
    program = tmp_path / "pro gram"
    program.write_text("#!/bin/sh\necho one\n")
    for name in ("h1", "h2"):
        network[name].install("/programs/deep/one", program)
        assert network[name].run("/programs/deep/one").stdout == "one\n"
    program.write_text("#!/bin/sh\necho another\n")
    network["h1"].install("/programs/deep/one", program)
    assert network["h2"].run("/programs/deep/one").stdout == "one\n"
    network["h1"].install("/programs/another", program, 0o600)
    assert network["h2"].read("/programs/another") == program.read_bytes()
    assert network["h1"].run(["stat", "-c%a", "/programs/another"]).stdout == "600\n"
    with pytest.raises(FileNotFoundError):
        network["h1"].install("/programs/none", tmp_path / "none")


def test_wait_listen_and_its_timeout(up: Up) -> None:
    node = up("single")["h1"]
    code = "import socket,time; time.sleep(0.3); s=socket.create_server(('',80)); time.sleep(60)"
    node.spawn(["python3", "-c", code])
    with pytest.raises(NetworkTimeout, match=r"^h1: no tcp socket on port 81 within 0\.1 s of the network's time$"):
        node.wait_listen(81, timeout=0.1)
    node.wait_listen(80)
    with pytest.raises(NetworkTimeout, match=r"^h1: no route to 10\.99\.0\.0/16 within 0\.1 s"):
        node.wait_route("10.99.0.0/16", timeout=0.1)


def test_wait_route_looks_into_the_main_table_only(up: Up) -> None:
    node = up("pair")["h1"]
    node.run("ip link add other type veth peer name another")
    node.run("ip link set another up")
    node.run("ip link set other up")
    for version, prefix in (("-4", "10.98.0.0/16"), ("-6", "fd98::/64")):
        for table in ("local", "77", "1000"):
            node.run(f"ip {version} route add {prefix} dev other table {table}")
        with pytest.raises(NetworkTimeout, match=rf"^h1: no route to {prefix} within 0\.1 s"):
            node.wait_route(prefix, timeout=0.1)
        node.run(f"ip {version} route add {prefix} dev other")
        node.wait_route(prefix, timeout=0.1)


def test_sleep_moves_the_clock(up: Up) -> None:
    network = up("single")
    begin = network.now()
    network.sleep(0.5)
    assert 0.5 <= network.now() - begin < 2
    now = network.now()
    network.sleep_until(0.0)
    assert network.now() - now < 1


def test_remote_sockets_stream(up: Up) -> None:
    network = up("pair")
    server = network["h2"].socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
    server.bind(("", 7777))
    server.listen()
    client = network["h1"].socket(socket.AF_INET, socket.SOCK_STREAM)
    with pytest.raises(ConnectionRefusedError):
        client.connect((network["h2"].address(), 7778))
    client.close()
    client = network["h1"].socket(socket.AF_INET, socket.SOCK_STREAM)
    client.connect((network["h2"].address(), 7777))
    peer, address = server.accept()
    assert address == client.getsockname()
    client.sendall(b"hello")
    assert peer.recv_exactly(5) == b"hello"
    peer.timeout = 0.2
    with pytest.raises(TimeoutError):
        peer.recv(1)
    client.shutdown(socket.SHUT_WR)
    assert peer.recv_all() == b""
    for each in (client, peer, server):
        each.close()


def test_remote_sockets_datagram_netlink_packet(up: Up) -> None:
    network = up("pair")
    with network["h2"].socket(socket.AF_INET6, socket.SOCK_DGRAM) as there:
        there.bind(("::", 9))
        with network["h1"].socket(socket.AF_INET6, socket.SOCK_DGRAM) as here:
            assert here.sendto(b"dgram", (network["h2"].address(6), 9)) == 5
            data, source = there.recvfrom(100)
            assert (data, source[:2]) == (b"dgram", (network["h1"].address(6), here.getsockname()[1]))
    with network["h1"].socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.bind((0, 0))
        assert route.getsockname()[0] > 0
    with network["h1"].socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind(("eth0", 3))
        assert raw.getsockname()[1] == 3
    with pytest.raises(OSError, match=r"socket") as caught:
        network["h1"].socket(socket.AF_INET, socket.SOCK_STREAM, 99)
    assert caught.value.errno == errno.EPROTONOSUPPORT


def test_cut_loses_the_carrier_and_restore_brings_it_back(up: Up) -> None:
    network = up("pair")
    h1, link = network["h1"], network.link("h1-h2")
    ping = ["ping", "-c1", "-W1", network["h2"].address()]
    assert h1.run(ping).returncode == 0
    link.cut()
    assert h1.run(ping, check=False).returncode != 0
    assert "NO-CARRIER" in h1.run("ip link show eth0").stdout
    link.restore()
    network.sleep(0.2)
    assert h1.run(["ping", "-c1", "-W5", network["h2"].address()]).returncode == 0


@pytest.mark.needs("netem")
def test_link_set_changes_the_delay(up: Up) -> None:
    network = up("pair", delay_ms=1)
    network.link("h1-h2").set(delay_ms=50)
    h1 = network["h1"]
    h1.run(["ping", "-c1", network["h2"].address()])
    done = h1.run(["ping", "-c1", network["h2"].address()])
    assert 0.1 <= done.duration_s < 1


@pytest.mark.needs("netem")
def test_link_loses_all_in_one_direction(up: Up) -> None:
    network = up("pair")
    network.link("h1-h2").set(toward="h2", loss_ratio=1.0)
    assert network["h1"].run(["ping", "-c1", "-W1", network["h2"].address()], check=False).returncode == 1
    assert network.link("h1-h2").packets("h2") == [] or not [
        p for p in network.link("h1-h2").packets("h2") if ICMP in p
    ]


def test_inject_frame_is_answered(up: Up) -> None:
    network = up("pair")
    h2 = network["h2"]
    mac = h2.interfaces[0].mac
    who_has = Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:aa:aa") / ARP(
        op=1, hwsrc="02:00:00:00:aa:aa", psrc="10.0.1.77", pdst=h2.address()
    )
    at = network.now() + 0.25
    h2.inject("eth0", who_has, at=at)
    network.sleep_until(at + 0.25)
    mine = [p for p in network.link("h1-h2").packets("h2") if ARP in p and "10.0.1.77" in (p[ARP].psrc, p[ARP].pdst)]
    (asked,) = [packet for packet in mine if packet[ARP].op == 1]
    (answered,) = [packet for packet in mine if packet[ARP].op == 2]
    assert answered[ARP].hwsrc == mac
    slack_s = 1e-5 if network.virtual_time else 0.1
    assert asked.time == pytest.approx(at, abs=slack_s)
    assert answered.time == pytest.approx(at, abs=slack_s)


@pytest.mark.needs("netem")
def test_inject_from_a_node_passes_the_impairments(up: Up) -> None:
    network = up("pair", delay_ms=20)
    frame = Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:aa:aa", type=0x88B5) / b"marker-of-this-test"
    at = network.now() + 0.1
    network.inject([(at, "h1-h2", "h1", "from", frame)])
    network.sleep_until(at + 0.5)
    (arrived,) = [f for f in network.link("h1-h2").frames("h2") if b"marker-of-this-test" in f.data]
    assert arrived.time_ns / 1e9 - at >= 0.02
    if network.virtual_time:
        assert arrived.time_ns / 1e9 - at == pytest.approx(0.02, abs=1e-5)


def test_captures_can_be_switched_off(up: Up) -> None:
    network = up("pair", capture=False)
    network["h1"].run(["ping", "-c1", network["h2"].address()])
    with pytest.raises(CapabilityError, match=r"^link h1-h2: captures are off in this network\n"):
        network.link("h1-h2").packets("h1")


def test_down_ends_what_still_runs(up: Up) -> None:
    network = up("single")
    process = network["h1"].spawn(["sleep", "100000"])
    network.down()
    assert process.completed().returncode < 0
