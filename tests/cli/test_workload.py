# SPDX-License-Identifier: MIT
"""``testbed workload`` by hand: two processes over loopback, their words and their exit codes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from testbed.libos.library import host_program
from tests.libos.broken import small

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def program() -> str:
    return str(host_program())


@pytest.fixture
def library(tmp_path: Path) -> str:
    return str(small(tmp_path).file)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(program: str, *words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "TESTBED_LIBOS_HOST": program}
    argv = [sys.executable, "-m", "testbed", "workload", *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def test_an_echo_between_two_terminals(program: str, library: str) -> None:
    where = f"127.0.0.1:{free_port()}"
    numbers = ["--clients", "2", "--requests", "10", "--timeout", "20"]
    with start(program, "--libos", library, "tcp-echo", "--server", where, *numbers) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        with start(program, "--libos", library, "tcp-echo", "--client", where, *numbers) as client:
            said, complaints = client.communicate(timeout=60)
        there = json.loads(server.communicate(timeout=60)[0])
    here = json.loads(said)
    assert (client.returncode, server.returncode, complaints) == (0, 0, "")
    assert (here["received"], here["latency"]["count"], here["error"]) == (20, 20, None)
    assert (there["role"], there["connections"], there["received_bytes"]) == ("server", 2, 20 * 64)


def test_datagrams_and_connections_by_hand(program: str, library: str) -> None:
    """What no suite runs: pktgen to dump, and an echo through a relay."""
    ports = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    with start(program, "--libos", library, "dump", "--server", ports[0], "--idle", "0.5") as taker:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
        words = ("pktgen", "--client", ports[0], "--requests", "20", "--rate", "1000")
        with start(program, "--libos", library, *words) as maker:
            assert json.loads(maker.communicate(timeout=60)[0])["sent"] == 20
        assert json.loads(taker.communicate(timeout=60)[0])["received"] == 20
    with (
        start(program, "--libos", library, "tcp-echo", "--server", ports[1], "--requests", "5") as server,
        start(program, "--libos", library, "relay", "--server", ports[2], "--to", ports[1]) as between,
    ):
        for side in (server, between):
            assert side.stdout is not None
            assert side.stdout.readline() == "ready\n"
        with start(program, "--libos", library, "tcp-echo", "--client", ports[2], "--requests", "5") as client:
            assert json.loads(client.communicate(timeout=60)[0])["received"] == 5
        assert [side.wait(60) for side in (server, between)] == [0, 0]


def test_a_failure_is_in_the_report_and_in_the_exit_code(program: str, library: str) -> None:
    with start(program, "--libos", library, "tcp-echo", "--client", f"127.0.0.1:{free_port()}") as client:
        said, complaints = client.communicate(timeout=60)
    assert client.returncode == 1
    assert json.loads(said)["error"] == "client 0: Connection refused (os error 111)"
    assert complaints == "testbed-libos: client 0: Connection refused (os error 111)\n"


def test_help_and_unknown_words(program: str) -> None:
    with start(program, "help") as helped:
        said, _ = helped.communicate(timeout=60)
    assert helped.returncode == 0
    assert "tcp-echo" in said
    assert "--requests" in said
    with start(program, "--libos", "catnpa", "tcp-echo") as wrong:
        _, complaints = wrong.communicate(timeout=60)
    assert wrong.returncode == 4
    assert "unknown flavor 'catnpa'" in complaints
    assert "or 'catnap'" in complaints
