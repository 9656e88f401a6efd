# SPDX-License-Identifier: MIT
"""Lines in a live network: commands in nodes, links, captures, jobs, and what is told of bad lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP
from scapy.utils import PcapNgReader

from testbed.backends.registry import backend
from testbed.errors import CapabilityError, GuestCrashed
from testbed.scenarios.registry import scenario
from testbed.shell.completion import ShellCompleter
from testbed.shell.interact import LineFailed
from testbed.shell.shell import Shell
from tests.rings import lacks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.backends.network import Network

    from .conftest import Typed, Up


@pytest.fixture(scope="module")
def shared() -> Iterator[Network]:
    """Give one network for all lines that do nothing to it."""
    found = backend("timetravel")
    try:
        found.capabilities()
    except CapabilityError as error:
        lacks("timetravel", error)
    with found.up(scenario("pair")) as network:
        yield network


def test_names_of_nodes_are_addresses(up: Up, typed: Typed) -> None:
    out, err = typed(
        up("pair"), "h1 ping -c1 h2", "h1 ping -6 -c1 h2", "h1 echo 'h2' h2:80 http://h2:8/x a@h2 xh2 h2/x"
    )
    assert "PING 10.0.1.2" in out
    assert "PING fd00:1::2" in out
    assert out.endswith("h2 10.0.1.2:80 http://10.0.1.2:8/x a@10.0.1.2 xh2 h2/x\n")
    assert err.startswith("0.000")


def test_of_several_addresses_that_of_the_shared_subnet_is_taken(up: Up, typed: Typed) -> None:
    network = up("two_path")
    out, _ = typed(network, "r2 echo h1 h2", "h1 echo r2", "r2 sh -c 'echo h1'", "r2 echo h1 | cat")
    shared = f"{network['h1'].address(link='h1-r2')} {network['h2'].address(link='r2-h2')}"
    assert out.splitlines() == [shared, network["r2"].address(link="h1-r2"), "h1", shared.split(maxsplit=1)[0]]


def test_time_stands_still_but_for_what_is_asked(up: Up, typed: Typed) -> None:
    out, _ = typed(up("single"), "time", "sleep 10", "time", "sleep 250ms", "until 20", "time", "nodes", "time")
    first, second, third, fourth = (float(found) for found in re.findall(r"^([\d.]+) s$", out, re.MULTILINE))
    assert second - first == pytest.approx(10, abs=1e-3)
    assert third == pytest.approx(20, abs=1e-3)
    assert fourth - third < 1e-3


def test_pipes_and_here_documents_are_for_sh_in_the_node(up: Up, typed: Typed) -> None:
    script = ["h1 ping -c1 h2 | grep -c received", "h2 cat <<END >/tmp/x", "don't", "END", "h2 cat /tmp/x; hostname"]
    assert typed(up("pair"), *script)[0] == "1\ndon't\nh2\n"


def test_jobs_in_the_background(up: Up, typed: Typed) -> None:
    out, err = typed(
        up("pair"),
        "h1 iperf3 -s &",
        "h2 iperf3 -c h1 -n 10K",
        "jobs",
        "h2 cat &",
        "send %2 hello you",
        "send %2",
        "wait %2",
        "kill %1 int",
        "jobs",
    )
    assert "[1] Accepted connection from 10.0.1.2" in out
    assert "[2] hello you\n" in out
    assert "[1]  running  h1 iperf3 -s" in out
    assert "[2]  exit status 0  h2 cat" in out
    assert "[2] ended: h2 cat: exit status 0" in err
    assert re.search(r"^\[1\]  (?!running).*h1 iperf3 -s$", out[out.index("hello") :], re.MULTILINE)


def test_output_shows_as_it_comes(up: Up, typed: Typed) -> None:
    out, err = typed(up("single"), "h1 sh -c 'for i in 1 2 3; do echo $i; sleep 100; done; echo oops >&2'", "time")
    assert out.startswith("1\n2\n3\n300.")
    assert "oops\n" in err


def test_link_down_stops_packets_and_up_restores_them(up: Up, typed: Typed) -> None:
    network = up("lan", n=2)
    ping = "-h1 ping -c1 -W1 h2"
    out, _ = typed(network, ping, "link h1-s1 down", "link h1-s1", ping, "link h1-s1 up", ping, "link h1-s1")
    assert re.findall(r"(\d) received", out) == ["1", "0", "1"]
    assert re.findall(r"^h1-s1  (\w+)", out, re.MULTILINE) == ["down", "up"]


def test_link_set_changes_delay_and_loss(up: Up, typed: Typed) -> None:
    network = up("pair")
    lines = ["link h1-h2 set delay=50ms toward=h2", "h1 ping -c2 h2", "links", "link h1-h2 set loss=100%"]
    out, _ = typed(network, *lines, "-h1 ping -c1 -W1 h2")
    assert re.findall(r"time=(\d+)\.?\d* ms", out) == ["100", "50"]  # first ARP asks over the link, too
    assert "→ 50 ms   ← clean" in out
    assert re.findall(r"(\d) received", out) == ["2", "0"]


def test_capture_is_shown_and_copied(up: Up, typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "h2.pcapng"
    out, _ = typed(up("pair"), "h1 ping -c2 h2", "capture h1-h2", f"capture h1-h2.h2 {file}")
    assert len(re.findall(r"ICMP 10\.0\.1\.1 > 10\.0\.1\.2 echo-request", out)) == 2
    with PcapNgReader(str(file)) as reader:
        assert sum(ICMP in packet for packet in reader) == 4


def test_capture_alone_lists_what_was_captured(up: Up, typed: Typed) -> None:
    out, err = typed(up("lan", n=2), "h1 ping -c2 h2", "capture")
    rows = [line.split() for line in out.splitlines() if re.match(r"h\d-s1\.", line)]
    assert [row[0] for row in rows] == ["h1-s1.h1", "h1-s1.s1", "h2-s1.h2", "h2-s1.s1"]
    assert all(int(row[1]) >= 4 and re.fullmatch(r"\d\.\d{9}", row[2]) for row in rows), out
    assert "capture h1-s1.h1 shows the frames" in err


def test_tables_and_drawing(up: Up, typed: Typed) -> None:
    out, _ = typed(up("lan", n=2, rate_bps=10_000_000), "topology", "nodes", "links", "help", "help link")
    assert "│ h1 ├" in out
    assert re.search(r"^s1 +switch", out, re.MULTILINE)
    assert re.search(r"^h1 +host +eth0 10\.0\.1\.1/24 fd00:1::1/64$", out, re.MULTILINE)
    assert re.search(r"^h2-s1 +up +10 Mbit/s$", out, re.MULTILINE)
    assert re.search(r"^sleep SECONDS +let time pass", out, re.MULTILINE)


def test_saved_lines_do_the_same_again(up: Up, typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "again"
    lines = ["h1 ping -c1 h2", "-h1 false", "sleep 1", "h1 od -An -N4 -tx1 /dev/urandom", "time"]
    first, err = typed(up("pair"), *lines, f"save {file}")
    assert file.read_text().splitlines() == ["h1 ping -c1 h2", "sleep 1", *lines[3:]]
    assert "4 lines in" in err
    second, _ = typed(up("pair"), *lines)
    assert second == first


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pimg h2", "no command and no node 'pimg'; "),
        ("lnks", "did you mean 'links' or 'link'"),
        ("h3 ping h2", "no command and no node 'h3'; nodes: h1, h2; help lists the commands"),
        ("h1 pimg h2", "h1 cannot run 'pimg': No such file or directory"),
        ("h1", "what shall h1 run?"),
        ("link h1-h3 down", "the network has no link 'h1-h3'; did you mean 'h1-h2'"),
        ("link h1-h2 dwn", "did you mean 'down'"),
        ("link h1-h2 set los=1", "a link has no 'los'; did you mean 'loss'"),
        ("link h1-h2 set loss", "a value is written KEY=VALUE, found 'loss'"),
        ("link h1-h2 set loss=2", "loss_ratio must be a number from 0 to 1"),
        ("link h1-h2 set delay=5parsec", "no unit of time 'parsec'"),
        ("link h1-h2 set rate=fast", "no number: 'fast'"),
        ("link h1-h2 set delay=1ms toward=h3", "link h1-h2 has no end 'h3'"),
        ("capture h1-h2.h3", "link h1-h2 has no end 'h3'; valid: h1, h2"),
        ("capture h1-h2 /nowhere/file", "cannot write '/nowhere/file'"),
        ("sleep", "it is written 'sleep SECONDS'"),
        ("sleep long", "no number: 'long'"),
        ("kill %1", "there is no job '%1'; nothing runs in the background"),
        ("help sleeep", "did you mean 'sleep'"),
        ("time &", "time is a command of the shell"),
        ("h1 echo 'a", "a quote is not closed"),
        ("save /nowhere/file", "cannot write '/nowhere/file'"),
        ("exit much", "an exit status is 0 to 255"),
    ],
)
def test_bad_lines_say_what_would_be_good(shared: Network, typed: Typed, line: str, message: str) -> None:
    with pytest.raises(LineFailed, match=r"^script:1: ") as failed:
        typed(shared, line)
    assert message in str(failed.value)
    assert failed.value.status in (4, 7)


def test_a_script_ends_at_the_first_line_that_fails(up: Up, typed: Typed, capfd: pytest.CaptureFixture[str]) -> None:
    network = up("pair")
    with pytest.raises(LineFailed, match=r"^script:3: h1 sh -c 'exit 5': exit status 5\n") as failed:
        typed(network, "h1 echo one", "-h1 false", "h1 sh -c 'exit 5'", "h1 echo two")
    assert failed.value.status == 5
    assert capfd.readouterr().out == "one\n"
    with pytest.raises(LineFailed) as failed:
        typed(network, "h1 sh -c 'kill -9 $$'")
    assert failed.value.status == 137
    with pytest.raises(LineFailed, match=r"^script:1: exit 3$"):
        typed(network, "exit 3", "h1 echo never")


def test_a_command_in_the_foreground_has_a_limit(up: Up, typed: Typed) -> None:
    network = up("single")
    with pytest.raises(LineFailed, match=r"it still ran after 100 s of the network's time and was killed"):
        typed(network, "h1 sleep 1000", limit_s=100)
    assert network.now() == pytest.approx(100, abs=0.1)
    assert typed(network, "-h1 sleep 1000", "h1 echo on", limit_s=100)[0] == "on\n"


# A warning of the kernel (see tests/faults/test_guest_faults.py), made a panic.
PANIC = """\
h1 /usr/bin/python3 -I -S <<END
import ctypes
open("/proc/sys/kernel/panic_on_warn", "w").write("1")
open("/proc/sys/kernel/sem", "w").write("250 32000 2147483647 128")
libc = ctypes.CDLL(None, use_errno=True)
libc.semop(libc.semget(0, 1, 0o1600), ctypes.create_string_buffer(64), 0x7FFFFFFF)
END"""


def test_a_guest_that_dies_is_told_with_its_log(up: Up, typed: Typed) -> None:
    network = up("single")
    with pytest.raises(GuestCrashed, match=r"(?s)the guest died.*Kernel panic"):
        typed(network, f"-{PANIC}", "h1 echo never")
    assert network.died is not None


def test_waiting_for_a_job_that_goes_on_is_an_error_and_leaves_it(up: Up, typed: Typed) -> None:
    network = up("single")
    with pytest.raises(LineFailed, match=r"script:2: job %1 still runs after 50 s of the network's time: h1 sleep 100"):
        typed(network, "h1 sleep 100 &", "wait", limit_s=50)
    assert typed(network, "sleep 49", "h1 pgrep -c sleep", "-h1 true")[0] == "1\n"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], {"topology", "link", "h1", "s1"}),
        (["h1"], {"ping", "ip"}),
        (["run", "h1"], {"ping"}),
        (["h1", "ping"], {"h2"}),
        (["link"], {"h1-s1"}),
        (["link", "h1-s1"], {"up", "down", "set"}),
        (["link", "h1-s1", "set"], {"loss=", "delay_ms=", "toward=s1"}),
        (["capture"], {"h1-s1", "h1-s1.s1"}),
        (["kill", "%1"], {"INT", "KILL"}),
        (["help"], {"sleep"}),
    ],
)
def test_what_may_come_next(up: Up, words: list[str], wanted: set[str]) -> None:
    shell = Shell(up("lan", n=2), limit_s=1, terminal=True)
    assert wanted <= set(ShellCompleter(shell).candidates(words))
    assert "%1" not in set(ShellCompleter(shell).candidates(["wait"]))
