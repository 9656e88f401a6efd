# SPDX-License-Identifier: MIT
"""The shell at a terminal: a pseudo-terminal stands for a person's."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Up

_PATIENCE_S = 30
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>]|\][^\x07]*\x07)")
PROMPT = r"\d+\.\d{6} s>"


class Person:
    """Types at a terminal and reads what is there, without colours and cursor movements."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-m", "testbed", *words],  # so that Ctrl-C is a signal
            cwd=folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._seen = ""

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def sees(self, pattern: str) -> str:
        """Wait until a pattern has appeared; all text up to its end, which is then forgotten."""
        until = time.monotonic() + _PATIENCE_S
        while (found := re.search(pattern, self._seen)) is None:
            ready, _, _ = select.select([self._ours], [], [], max(until - time.monotonic(), 0))
            assert ready, f"no {pattern!r} in:\n{self._seen}"
            try:
                data = os.read(self._ours, 65536)
            except OSError as error:
                raise AssertionError(f"it ended; no {pattern!r} in:\n{self._seen}") from error
            text = data.decode(errors="replace")
            if "\x1b[6n" in text:  # where is the cursor? a terminal answers
                self.types("\x1b[1;1R")
            self._seen = _ESCAPES.sub("", self._seen + text).replace("\r", "")
        text, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        return text

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        return self._process.wait(_PATIENCE_S)

    def close(self) -> None:
        """Hang up."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)


@pytest.fixture
def person(tmp_path: Path, environment: dict[str, str], up: Up) -> Iterator[Callable[..., Person]]:
    del up  # it has skipped where there are no guests
    made: list[Person] = []

    def call(*words: str) -> Person:
        made.append(Person(list(words), tmp_path, environment))
        return made[-1]

    yield call
    for found in made:
        found.close()


def test_a_session_at_a_terminal(person: Callable[..., Person]) -> None:
    first = person("shell", "lan:n=3")
    first.sees("time stands still")
    first.sees(PROMPT)
    first.types("h1 ping -c1 h2\r")
    first.sees("1 received")
    before = first.sees(PROMPT)
    first.types("lnks\r")  # an error, and it goes on
    first.sees("error: no command and no node 'lnks'; did you mean 'links' or 'link'")
    first.sees(PROMPT)
    first.types("topo\t")  # completion of a command
    first.sees("logy")
    first.types("\r")
    first.sees("┌")
    first.sees(PROMPT)
    first.types("link h3-\t")  # of a link
    first.sees("s1")
    first.types(" do\t")  # and of its verb
    first.sees("wn")
    first.types("\r")
    first.sees(PROMPT)
    first.types("links\r")
    first.sees("h3-s1 +down")
    first.sees(PROMPT)
    first.types("never typed\x03")  # Ctrl-C at the prompt takes the line back
    first.sees(PROMPT)
    first.types("h2 sleep 3000000\x7f\x7f\r")  # a key that deletes; and time is cheap
    after = first.sees(r"30\d{3}\.\d{6} s>")
    assert before != after
    first.types("\x04")
    first.sees("record: ")
    assert first.ended() == 0

    second = person("shell", "pair")  # the history has lasted
    second.sees(PROMPT)
    second.types("\x1b[A\x1b[A\r")
    second.sees("LINK +STATE")
    second.sees(PROMPT)
    second.types("exit 3\r")
    second.sees("record: ")
    assert second.ended() == 3


def test_ctrl_c_ends_the_command_in_the_foreground_only(person: Callable[..., Person]) -> None:
    shell = person("shell", "pair", "--timeout", "1e9")
    shell.sees(PROMPT)
    shell.types("h1 cat &\r")
    shell.sees("pid")
    shell.sees(PROMPT)
    shell.types("h2 sh -c 'while :; do echo on; sleep 0.01; done'\r")
    shell.sees("on\non\non")
    shell.types("\x03")
    shell.sees(PROMPT)
    shell.types("jobs\r")
    shell.sees(r"\[1\]  running  h1 cat")
    shell.sees(PROMPT)
    shell.types("h1 echo still here\r")
    shell.sees("\nstill here")
    shell.sees(PROMPT)
    shell.types("\x04")
    assert shell.ended() == 0


def test_a_guest_that_dies_ends_the_session(person: Callable[..., Person]) -> None:
    shell = person("shell", "single")
    shell.sees(PROMPT)
    shell.types("h1 python3 -I -S <<END\r")
    for line in (
        "import ctypes",
        'open("/proc/sys/kernel/panic_on_warn", "w").write("1")',
        'open("/proc/sys/kernel/sem", "w").write("250 32000 2147483647 128")',
        "libc = ctypes.CDLL(None, use_errno=True)",
        "libc.semop(libc.semget(0, 1, 0o1600), ctypes.create_string_buffer(64), 0x7FFFFFFF)",
    ):
        shell.sees(">")
        shell.types(f"{line}\r")
    shell.types("END\r")
    shell.sees("error: the guest died")
    shell.sees("Kernel panic")
    assert shell.ended() == 6


def test_ctrl_c_ends_a_sleep_and_a_wait_but_no_job(person: Callable[..., Person]) -> None:
    shell = person("shell", "pair", "--backend", "netns")  # where a sleep takes its time
    if "error" in shell.sees(f"error|{PROMPT}"):
        pytest.skip("no backend netns here")
    shell.types("h1 sh -c 'while :; do echo tick; sleep 0.05; done' &\r")
    shell.sees("pid")
    shell.sees(PROMPT)
    for line in ("sleep 500", "wait"):
        shell.types(f"{line}\r")
        for _ in range(30):  # it is under way
            shell.sees(r"\[1\] tick\n")
        shell.types("\x03")
        shell.sees(PROMPT)
    shell.types("jobs\r")
    shell.sees(r"\[1\]  running  h1 sh")
    shell.sees(PROMPT)
    shell.types("\x04")
    assert shell.ended() == 0
