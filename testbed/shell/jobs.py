# SPDX-License-Identifier: MIT
"""Commands in the background, and the one in the foreground: waiting for it, and ending it by Ctrl-C."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from testbed.backends.process import Completed, ProcessTimeout, end_text
from testbed.errors import ConfigError, DeadlineError, near_misses
from testbed.shell.output import note, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from testbed.backends.network import Network, Process

_FIRST_STEP_S = 0.1
_REAL_STEP_S = 0.1
_SLOW_S = 0.25  # wall seconds of a step after which Ctrl-C would be noticed too late
_ESCALATION = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


class Job:
    """A command in the background; what it writes is shown line by line with its number in front.

    Args:
        number: From 1.
        process: What runs.
        text: The command as it was typed.
    """

    def __init__(self, number: int, process: Process, text: str) -> None:
        self.number = number
        self.process = process
        self.text = text
        self.told = False  # its end has been told
        self._partial = {1: b"", 2: b""}
        process.listen(self._take)

    def _take(self, stream: int, data: bytes) -> None:
        *lines, self._partial[stream] = (self._partial[stream] + data).split(b"\n")
        for line in lines:
            write(stream, f"[{self.number}] ".encode() + line + b"\n")

    def state(self) -> str:
        """Say whether it runs or how it ended."""
        return "running" if self.process.running else end_text(self.process.completed().returncode)

    def tell_end(self) -> None:
        """Say once that it has ended, after what it wrote last without an end of line."""
        if self.told or self.process.running:
            return
        self.told = True
        for stream, rest in self._partial.items():
            if rest:
                write(stream, f"[{self.number}] ".encode() + rest + b"\n")
        self._partial = {1: b"", 2: b""}
        note(f"[{self.number}] ended: {self.text}: {end_text(self.process.completed().returncode)}")


class Jobs:
    """All commands in the background of one shell."""

    def __init__(self) -> None:
        self.all: list[Job] = []

    def add(self, process: Process, text: str) -> Job:
        """Take a new one."""
        job = Job(len(self.all) + 1, process, text)
        self.all.append(job)
        return job

    def find(self, word: str) -> Job:
        """Give a job by its number: ``%1`` or ``1``.

        Raises:
            ConfigError: There is none.
        """
        number = word.removeprefix("%")
        if number.isdecimal() and 1 <= int(number) <= len(self.all):
            return self.all[int(number) - 1]
        valid = near_misses(word, [f"%{job.number}" for job in self.all]) or "nothing runs in the background"
        raise ConfigError(f"there is no job {word!r}; {valid}", hint="h1 iperf3 -s & starts one; jobs lists them")

    def tell_ends(self) -> None:
        """Say which have ended since the last time."""
        for job in self.all:
            job.tell_end()


class Interrupts:
    """Counts Ctrl-C instead of being interrupted: a request that is under way has to end before another can be made."""

    def __init__(self) -> None:
        self.count = 0

    def take(self, _signal: int, _frame: FrameType | None) -> None:
        """Count one; the fourth gives up on whatever does not answer."""
        self.count += 1
        if self.count > len(_ESCALATION):
            raise KeyboardInterrupt


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Count Ctrl-C while a command is in the foreground."""
    counted = Interrupts()
    before = signal.signal(signal.SIGINT, counted.take)
    try:
        yield counted
    finally:
        signal.signal(signal.SIGINT, before)


def await_end(network: Network, process: Process, *, limit_s: float, steps_adapt: bool) -> Completed:
    """Wait for a process in growing steps of the network's time, so that its output shows as it comes.

    Ctrl-C ends the process: SIGINT first, then SIGTERM, then SIGKILL.

    Args:
        network: Where it runs.
        process: What to wait for.
        limit_s: Seconds of the network's time after which it is killed.
        steps_adapt: Whether steps shrink where they take long by the wall clock. That changes when the agent is asked,
            and so the bits: not for scripts.

    Raises:
        DeadlineError: It still ran at the limit, and was killed.
    """
    begin, shrink = network.now(), 1.0
    with interrupts() as counted:
        handled = 0
        while True:
            passed = network.now() - begin
            step = max(_FIRST_STEP_S, passed / 10) * shrink if network.virtual_time else _REAL_STEP_S
            asked = time.monotonic()
            try:
                return process.wait(timeout=min(step, max(limit_s - passed, 0.0)))
            except ProcessTimeout:
                if network.now() - begin >= limit_s:
                    process.kill(signal.SIGKILL)
                    process.wait()
                    raise DeadlineError(
                        f"it still ran after {limit_s:g} s of the network's time and was killed",
                        hint="& at the end of a line runs it in the background; --timeout SECONDS lets it run longer",
                    ) from None
            if steps_adapt:
                shrink *= 0.5 if time.monotonic() - asked > _SLOW_S else 1.0
            if counted.count > handled:
                process.kill(_ESCALATION[min(handled, len(_ESCALATION) - 1)])
                handled += 1
