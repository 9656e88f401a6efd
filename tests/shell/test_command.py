# SPDX-License-Identifier: MIT
"""``testbed shell`` with a script, with a pipe, on another backend: output, exit status, and the record it leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from testbed.backends.registry import backend
from testbed.errors import CapabilityError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Command

LINES = """\
# loss, and what it does
link h1-h2 set loss=0.05 delay=10ms rate=5mbit
-h1 ping -c20 -i0.2 h2
h1 iperf3 -s -1 &
h2 iperf3 -c h1 -n 200K
wait
time
"""


def records(runs: Path) -> list[dict[str, object]]:
    files = sorted(path for path in runs.glob("*/cases/shell/*/1/record.json") if "latest" not in path.parts)
    return [json.loads(file.read_text()) for file in files]


def test_the_same_script_says_the_same_twice(command: Command, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(LINES)
    first, second = (command("shell", "pair", "--script", "lines", "--seed", "7") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert first.stderr.splitlines()[:-1] == second.stderr.splitlines()[:-1]  # but for the record's name
    assert "s> h2 iperf3 -c h1 -n 200K" in first.stderr
    one, two = records(tmp_path / "runs")
    assert (one["verdict"], one["suite"], one["digest"]) == ("passed", "shell", two["digest"])
    other = command("shell", "pair", "--script", "lines", "--seed", "8")
    assert other.stdout != first.stdout


def test_lines_come_from_a_pipe_and_answers_go_to_one(command: Command) -> None:
    done = command("shell", "pair:delay_ms=5", stdin="h1 ip -j address show dev eth0\n")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["ifname"] == "eth0"


def test_the_line_that_fails_is_named_and_its_status_is_ours(command: Command, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("time\n\nh1 sh -c 'exit 9'\ntime\n")
    done = command("shell", "single", "--script", "lines")
    assert done.returncode == 9
    assert "error: lines:3: h1 sh -c 'exit 9': exit status 9\n" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_wrong_words_are_refused_before_anything_starts(command: Command, tmp_path: Path) -> None:
    for words, message in (
        (("shell", "lann"), "no scenario 'lann'; did you mean 'lan'?"),
        (("shell", "lan:m=4"), "scenario 'lan' has no parameter 'm'; "),
        (("shell", "lan:4"), "a parameter is written key=value, found '4'"),
        (("shell", "lan", "--script", "gone"), "no script 'gone'"),
        (("shell", "lan", "--backend", "netnss"), "did you mean 'netns'?"),
    ):
        done = command(*words)
        assert done.returncode == 4, done.stderr
        assert message in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_kernel_that_complains_is_told(command: Command) -> None:
    code = 'open("/dev/kmsg", "w").write("<4>WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 made_up+0x1/0x2\\n")'
    done = command("shell", "single", stdin=f"h1 /usr/bin/python3 -c '{code}'\n")
    assert done.returncode == 6, done.stderr
    assert "made_up" in done.stderr


def test_a_shell_on_the_hosts_kernel(command: Command) -> None:
    try:
        backend("netns").capabilities()
    except CapabilityError as error:
        pytest.skip(str(error))
    done = command(
        "shell", "pair", "--backend", "netns", stdin="h1 ping -c1 h2\nlink h1-h2 down\n-h1 ping -c1 -W1 h2\n"
    )
    assert done.returncode == 0, done.stderr
    assert ("1 received" in done.stdout, "0 received" in done.stdout) == (True, True)
