# SPDX-License-Identifier: MIT
"""Programs in nodes: how they start, end, talk, and are ended."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from tests.agent.client import SECOND, Agent, AgentError


def test_exit_codes_and_streams(network: Agent) -> None:
    status, out, err = network.run("h1", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (os.waitstatus_to_exitcode(status), out, err) == (3, b"out\n", b"err\n")


def test_each_node_has_its_own_name_and_interfaces(network: Agent) -> None:
    assert network.run("h2", "hostname")[1] == b"h2\n"
    names = network.run("h2", "ls", "/sys/class/net")[1].split()
    assert names == [b"eth0", b"lo"]


def test_the_environment_is_exactly_the_given_one(network: Agent) -> None:
    status, out, _ = network.run("h1", "/usr/bin/env", env={"ONLY": "this"}, cwd="/usr")
    assert (status, out) == (0, b"ONLY=this\n")


def test_a_missing_program_is_enoent_and_named(network: Agent) -> None:
    with pytest.raises(AgentError) as caught:
        network.run("h1", "no-such-program")
    assert (caught.value.kind, caught.value.errno) == ("os", errno.ENOENT)
    assert "h1" in caught.value.what
    assert "'no-such-program'" in caught.value.what


def test_a_missing_folder_is_named(network: Agent) -> None:
    with pytest.raises(AgentError, match="/no/such/folder") as caught:
        network.run("h1", "true", cwd="/no/such/folder")
    assert caught.value.errno == errno.ENOENT


def test_a_timeout_kills_the_group(network: Agent) -> None:
    fields = network.start_fields("h1", ["sh", "-c", "sleep 1000 & echo started; wait"])
    answer = network.ask("run", timeout=SECOND // 5, **fields)
    status, out, _ = network.result(fields["id"])
    assert answer == {"done": False}
    assert (os.WTERMSIG(status), out) == (signal.SIGKILL, b"started\n")
    assert network.run("h1", "pgrep", "-x", "sleep")[1] == b""


def test_every_reply_brings_what_running_programs_wrote(network: Agent) -> None:
    number = network.spawn("h1", "sh", "-c", "echo early; : > /tmp/said; exec sleep 1000")
    network.ask(
        "await", node="h1", what="file", path="/tmp/said", proto=None, port=None, prefix=None, timeout=5 * SECOND
    )
    assert network.output(number, 1) == b"early\n"
    network.ask("sleep", until=0)
    assert network.output(number, 1) == b"early\n", "once only"


def test_kill_and_wait(network: Agent) -> None:
    number = network.spawn("h1", "sleep", "1000")
    assert network.ask("wait", ids=[number], all=True, timeout=0) == {"done": []}
    network.ask("kill", id=number, signal=signal.SIGTERM, group=False)
    assert network.ask("wait", ids=[number], all=True, timeout=5 * SECOND) == {"done": [number]}
    assert os.WTERMSIG(network.result(number)[0]) == signal.SIGTERM
    with pytest.raises(AgentError) as caught:
        network.ask("kill", id=number, signal=signal.SIGTERM, group=False)
    assert caught.value.errno == errno.ESRCH


def test_input_is_written_and_closed(network: Agent) -> None:
    data = bytes(range(256)) * 4096  # far more than a pipe holds
    status, out, _ = network.run("h1", "cat", input=data, output_limit=4 << 20)
    assert (status, out) == (0, data)


def test_a_pipe_stays_open_until_its_end_is_sent(network: Agent) -> None:
    number = network.spawn("h1", "cat", stdin="pipe")
    network.ask("stdin", id=number, data=b"one ", eof=False)
    assert network.ask("wait", ids=[number], all=True, timeout=SECOND // 20) == {"done": []}
    network.ask("stdin", id=number, data=b"two", eof=True)
    network.ask("wait", ids=[number], all=True, timeout=5 * SECOND)
    assert network.result(number)[:2] == (0, b"one two")


def test_output_so_far_of_a_running_process(network: Agent) -> None:
    number = network.spawn("h1", "sh", "-c", "echo early; touch /tmp/said; exec sleep 1000")
    state = {"proto": None, "port": None, "prefix": None}
    network.ask("await", node="h1", what="file", path="/tmp/said", timeout=5 * SECOND, **state)
    network.ask("output", id=number)
    assert network.output(number, 1) == b"early\n"


def test_too_much_output_ends_the_process(network: Agent) -> None:
    status, out, _ = network.run("h1", "sh", "-c", "exec cat /dev/zero", output_limit=100_000)
    assert os.WTERMSIG(status) == signal.SIGXFSZ
    assert len(out) == 100_000


def test_files_are_private_to_a_node(network: Agent) -> None:
    network.ask("write", node="h1", path="/etc/resolv.conf", data=b"nameserver 10.0.0.2\n", mode=0o644)
    network.ask("write", node="h1", path="/run/a/b", data=b"deep", mode=0o600)
    assert network.run("h1", "cat", "/etc/resolv.conf")[1] == b"nameserver 10.0.0.2\n"
    assert network.ask("read", node="h1", path="/run/a/b") == {"data": b"deep"}
    assert network.ask("read", node="h2", path="/etc/resolv.conf")["data"] != b"nameserver 10.0.0.2\n"
    with pytest.raises(AgentError) as caught:
        network.ask("read", node="h2", path="/run/a/b")
    assert caught.value.errno == errno.ENOENT


def test_only_a_guest_copies_files_of_the_host(network: Agent) -> None:
    with pytest.raises(AgentError) as caught:
        network.ask("copy", node="h1", path="/x", host=b"/etc/passwd", size=1, mode=0o644)
    assert (caught.value.kind, caught.value.what) == (
        "usage",
        "only a guest can copy a file of the host, such as /etc/passwd",
    )


def test_a_thousand_and_twenty_four_files_and_no_more(network: Agent) -> None:
    assert network.run("h1", "sh", "-c", "ulimit -n")[1] == b"1024\n"


def test_nothing_of_the_agents_is_inherited(network: Agent) -> None:
    assert network.run("h1", "ls", "/proc/self/fd")[1].split() == [b"0", b"1", b"2", b"3"]
    assert b"SigBlk:\t0000000000000000" in network.run("h1", "cat", "/proc/self/status")[1]
    assert b"SigIgn:\t0000000000000000" in network.run("h1", "cat", "/proc/self/status")[1]
