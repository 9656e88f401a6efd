# SPDX-License-Identifier: MIT
"""The network itself: frames, captures, readiness, sockets, injection, cuts, and the end."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import struct
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from scapy.utils import PcapNgReader

from tests.agent.client import SECOND, Agent, AgentError, lan, pair, shape

if TYPE_CHECKING:
    from tests.agent.conftest import StartAgent

EPOCH_S = 1_704_067_200
ANY = {"proto": None, "port": None, "prefix": None, "path": None}


def packets(agent: Agent, link: int, end: int) -> list[Packet]:
    agent.ask("flush")
    return list(PcapNgReader(BytesIO(agent.captures()[link, end])))


def address(host: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))


def test_both_ends_capture_what_they_send_and_receive(network: Agent) -> None:
    assert network.run("h1", "ping", "-c2", "-i0.2", "10.0.0.2")[0] == 0
    assert network.run("h1", "ping", "-c1", "fd00::2")[0] == 0
    for end, request, reply in ((0, 2, 1), (1, 1, 2)):
        seen = [p for p in packets(network, 0, end) if ICMP in p]
        assert [p[ICMP].type for p in seen] == [8, 0, 8, 0]
        assert [p.direction for p in seen] == [request, reply, request, reply]  # 1 = inbound, 2 = outbound
        assert all(0 <= p.time - EPOCH_S < 60 for p in seen)


def test_frames_are_real_frames_with_real_checksums(network: Agent) -> None:
    make = {"domain": socket.AF_INET, "type": socket.SOCK_STREAM, "protocol": 0}
    listener = network.ask("socket", node="h2", **make)["sock"]
    network.ask("bind", sock=listener, addr=address("0.0.0.0", 5000))
    network.ask("listen", sock=listener, backlog=1)
    network.ask("await", node="h2", what="listen", timeout=SECOND, **{**ANY, "proto": "tcp", "port": 5000})
    sock = network.ask("socket", node="h1", **make)["sock"]
    network.ask("connect", sock=sock, addr=address("10.0.0.2", 5000), timeout=SECOND)
    taken = network.ask("accept", sock=listener, timeout=SECOND)["sock"]
    sent = network.ask("send", sock=sock, data=bytes(60_000), addr=None, flags=0, timeout=SECOND)["sent"]
    assert sent > 10_000
    got = 0
    while got < sent:
        got += len(network.ask("recv", sock=taken, max=1 << 20, flags=0, timeout=SECOND)["data"])
    seen = [p for p in packets(network, 0, 1) if IP in p]
    assert sum(len(p[IP].payload.payload) for p in seen) >= sent
    for packet in seen:
        assert packet.wirelen <= 1514
        raw = bytes(packet[IP])
        rebuilt = IP(raw)
        del rebuilt.chksum, rebuilt.payload.chksum
        assert bytes(rebuilt) == raw


def test_a_full_capture_goes_on_truncated(fresh: Agent) -> None:
    fresh.ask("up", plan=pair(capture={"full_bytes": 5000, "snaplen": 100, "ring_bytes": 1 << 20}))
    assert fresh.run("h1", "ping", "-c10", "-i0.01", "-s1000", "10.0.0.2")[0] == 0
    seen = [p for p in packets(fresh, 0, 0) if ICMP in p]
    assert len(seen) == 20
    assert {p.wirelen for p in seen} == {1042}
    assert (len(seen[0]), len(seen[-1])) == (1042, 100)


def test_udp_sockets_and_time_outs(network: Agent) -> None:
    make = {"domain": socket.AF_INET, "type": socket.SOCK_DGRAM, "protocol": 0}
    a = network.ask("socket", node="h1", **make)["sock"]
    b = network.ask("socket", node="h2", **make)["sock"]
    network.ask("bind", sock=b, addr=address("0.0.0.0", 7))
    assert network.ask("getsockname", sock=b)["addr"] == address("0.0.0.0", 7)
    with pytest.raises(AgentError, match=r"^timeout: recv"):
        network.ask("recv", sock=b, max=100, flags=0, timeout=SECOND // 50)
    network.ask("send", sock=a, data=b"hi", addr=address("10.0.0.2", 7), flags=0, timeout=None)
    got = network.ask("recv", sock=b, max=100, flags=0, timeout=SECOND)
    assert got["data"] == b"hi"
    assert got["addr"][4:8] == socket.inet_aton("10.0.0.1")
    network.ask("close", sock=a)
    with pytest.raises(AgentError, match=r"^usage: no open socket"):
        network.ask("close", sock=a)


def test_a_refused_connection_has_its_errno(network: Agent) -> None:
    sock = network.ask("socket", node="h1", domain=socket.AF_INET, type=socket.SOCK_STREAM, protocol=0)["sock"]
    with pytest.raises(AgentError) as caught:
        network.ask("connect", sock=sock, addr=address("10.0.0.2", 9), timeout=SECOND)
    assert (caught.value.kind, caught.value.errno) == ("os", errno.ECONNREFUSED)


def test_states_are_waited_for(network: Agent) -> None:
    network.ask("await", node="h1", what="address", timeout=SECOND, **{**ANY, "prefix": "fd00::1"})
    network.ask("await", node="h1", what="route", timeout=SECOND, **{**ANY, "prefix": "10.0.0.0/24"})
    with pytest.raises(AgentError, match=r"^timeout: h1: no route to 10.7.0.0/16"):
        network.ask("await", node="h1", what="route", timeout=SECOND // 50, **{**ANY, "prefix": "10.7.0.0/16"})
    with pytest.raises(AgentError, match="valid: tcp"):
        network.ask("await", node="h1", what="listen", timeout=0, **{**ANY, "proto": "ipx", "port": 1})


def test_injected_frames_come_in_order_of_time_and_are_captured(network: Agent) -> None:
    asked = bytes(Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="10.0.0.2", pdst="10.0.0.1"))
    sent = bytes(Ether(dst="02:00:00:00:00:01") / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=99) / Raw(b"planted"))
    soon = network.now + SECOND // 10
    network.ask("inject", frames=[[soon, 0, 0, "from", sent], [0, 0, 0, "to", asked]])
    network.ask("sleep", until=soon + SECOND // 10)
    at_h1 = packets(network, 0, 0)
    first = next(i for i, p in enumerate(at_h1) if bytes(p) == asked)
    assert at_h1[first].direction == 1
    assert any(ARP in p and p[ARP].op == 2 for p in at_h1[first + 1 :])  # h1 has answered
    planted = [p for p in packets(network, 0, 1) if UDP in p and p[UDP].dport == 99]
    assert len(planted) == 1
    assert soon <= (float(planted[0].time) - EPOCH_S) * SECOND + 1000
    with pytest.raises(AgentError, match=r"^usage: .*at least 14 bytes"):
        network.ask("inject", frames=[[0, 0, 0, "to", b"short"]])


def test_a_cut_link_loses_its_carrier_and_gets_it_back(network: Agent) -> None:
    network.ask("link", link=0, up=False, shapes=None)
    assert network.run("h1", "ping", "-c1", "-W0.2", "10.0.0.2")[0] != 0
    assert network.ask("read", node="h2", path="/sys/class/net/eth0/carrier")["data"] == b"0\n"
    network.ask("link", link=0, up=True, shapes=None)
    assert network.run("h1", "ping", "-c1", "-W2", "10.0.0.2")[0] == 0
    with pytest.raises(AgentError, match=r"^usage: no link 1"):
        network.ask("link", link=1, up=True, shapes=None)


def test_a_rate_needs_no_netem(network: Agent) -> None:
    network.ask("link", link=0, up=None, shapes=[shape(rate_bps=1_000_000), shape()])
    before = network.now
    assert network.run("h1", "ping", "-c20", "-i0.001", "-s1200", "10.0.0.2")[0] == 0
    assert network.now - before > 20 * 1242 * 8 * 1000 * 0.8  # ns at 1 Mbit/s, less the bucket


def test_hosts_on_a_switch_reach_each_other(fresh: Agent) -> None:
    fresh.ask("up", plan=lan(10))
    assert fresh.run("h1", "ping", "-c1", "-W2", "10.0.0.11")[0] == 0
    assert fresh.run("h1", "ping", "-c1", "-W2", "fd00::a")[0] == 0


def test_down_ends_what_still_runs(network: Agent) -> None:
    number = network.spawn("h1", "sleep", "1000")
    network.ask("down")
    assert os.WTERMSIG(network.result(number)[0]) == signal.SIGKILL
    assert set(network.captures()) == {(0, 0), (0, 1)}
    with pytest.raises(AgentError, match=r"^usage: the network is down"):
        network.ask("flush")
    assert network.close() == 0


def test_the_host_cannot_be_written(network: Agent, tmp_path: Path) -> None:
    mine = Path(__file__).resolve()
    before = mine.stat()
    network.run("h1", "sh", "-c", f"echo harm >> {mine}; rm -f {mine}; touch {mine.parent}/planted")
    assert mine.stat().st_mtime_ns == before.st_mtime_ns
    assert not (mine.parent / "planted").exists()
    assert network.run("h1", "ls", str(tmp_path))[0] != 0  # below /tmp nothing of the host is seen


def test_shares_are_seen_and_read_only(start: StartAgent, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("seen")
    agent = start()
    agent.hello([str(tmp_path)])
    agent.ask("up", plan=pair())
    assert agent.run("h1", "cat", str(tmp_path / "given"))[1] == b"seen"
    assert agent.run("h1", "touch", str(tmp_path / "new"))[0] != 0
    assert list(tmp_path.iterdir()) == [tmp_path / "given"]


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_an_ordinary_user_gets_the_same(start: StartAgent, binary: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="testbed-open-") as folder:  # store and pytest's folders are root's own
        Path(folder).chmod(0o755)
        agent = start(
            program=Path(shutil.copy(binary, folder)),
            prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        )
        try:
            agent.hello()
        except AgentError as error:
            if error.kind != "capability":
                raise
            pytest.skip(f"users get no namespaces here: {error.what}")
        agent.ask("up", plan=pair())
        assert agent.run("h1", "ping", "-c1", "10.0.0.2")[0] == 0


def test_a_killed_agent_leaves_no_process(network: Agent) -> None:
    # The mark is $0 of a shell that has said that it runs: a command line is empty for a moment during exec.
    network.spawn("h1", "sh", "-c", ": >/tmp/ready; read line", "98765.4321", stdin="pipe")
    network.ask("await", node="h1", what="file", timeout=5 * SECOND, **{**ANY, "path": "/tmp/ready"})
    assert _processes("98765.4321") == 1
    poll = os.pidfd_open(_pid("98765.4321"))
    network.process.kill()
    network.process.wait()
    _wait_for_end(poll)
    assert _processes("98765.4321") == 0


def _command_lines() -> dict[int, bytes]:
    lines = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
    return lines


def _processes(argument: str) -> int:
    return sum(argument.encode() in line.split(b"\0") for line in _command_lines().values())


def _pid(argument: str) -> int:
    return next(pid for pid, line in _command_lines().items() if argument.encode() in line.split(b"\0"))


def _wait_for_end(pidfd: int) -> None:
    import select  # noqa: PLC0415

    waiting = select.poll()
    waiting.register(pidfd, select.POLLIN)
    assert waiting.poll(5000)
    os.close(pidfd)


@pytest.mark.parametrize(
    ("pids", "kind", "what"),
    [([], "usage", "0 pids for 2 nodes"), ([999_999, 1], "os", "h1: /proc/999999/ns/net")],
)
def test_nodes_that_others_made_are_looked_for(fresh: Agent, pids: list[int], kind: str, what: str) -> None:
    with pytest.raises(AgentError, match=what) as told:
        fresh.ask("up", plan={**pair(), "made": {"first": 2, "pids": pids}})
    assert told.value.kind == kind
