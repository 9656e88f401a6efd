# SPDX-License-Identifier: MIT
"""Commands in the background, and the one in the foreground: waiting for it, and ending it by Ctrl-C."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
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
    """Count Ctrl-C while a line is carried out."""
    counted = Interrupts()
    before = signal.signal(signal.SIGINT, counted.take)
    try:
        yield counted
    finally:
        signal.signal(signal.SIGINT, before)


class Steps:
    """Growing steps of the network's time, so that what happens shows as it comes and Ctrl-C is noticed.

    Args:
        network: Whose time it is.
        adapt: Whether steps shrink where they take long by the wall clock. That changes when the agent is asked, and so
            the bits: not for scripts.
    """

    def __init__(self, network: Network, *, adapt: bool) -> None:
        self._network = network
        self._adapt = adapt
        self._begin = network.now()
        self._shrink = 1.0
        self._asked = time.monotonic()

    def passed(self) -> float:
        """Give the seconds that have passed since the first step."""
        return self._network.now() - self._begin

    def next(self) -> float:
        """Give the length of the next step, s."""
        if not self._network.virtual_time:
            return _REAL_STEP_S
        now = time.monotonic()
        if self._adapt and now - self._asked > _SLOW_S:
            self._shrink *= 0.5
        self._asked = now
        return max(_FIRST_STEP_S, self.passed() / 10) * self._shrink


def await_end(process: Process, steps: Steps, counted: Interrupts, *, limit_s: float) -> Completed:
    """Wait for a process in the foreground; Ctrl-C ends it: SIGINT first, then SIGTERM, then SIGKILL.

    Args:
        process: What to wait for.
        steps: Of the network's time.
        counted: Ctrl-C.
        limit_s: Seconds of the network's time after which it is killed.

    Raises:
        DeadlineError: It still ran at the limit, and was killed.
    """
    handled = 0
    while True:
        left = limit_s - steps.passed()
        try:
            return process.wait(timeout=min(steps.next(), max(left, 0.0)))
        except ProcessTimeout:
            if steps.passed() >= limit_s:
                process.kill(signal.SIGKILL)
                process.wait()
                raise DeadlineError(
                    f"it still ran after {limit_s:g} s of the network's time and was killed",
                    hint="& at the end of a line runs it in the background; --timeout SECONDS lets it run longer",
                ) from None
        if counted.count > handled:
            process.kill(_ESCALATION[min(handled, len(_ESCALATION) - 1)])
            handled += 1


def await_job(job: Job, steps: Steps, counted: Interrupts, *, limit_s: float) -> Completed | None:
    """Wait for a command in the background; Ctrl-C ends the waiting only.

    Returns:
        What is left of it; None after Ctrl-C.

    Raises:
        DeadlineError: It still ran at the limit, and goes on.
    """
    while not counted.count:
        left = limit_s - steps.passed()
        if left <= 0:
            raise DeadlineError(f"job %{job.number} still runs after {limit_s:g} s of the network's time: {job.text}")
        with suppress(ProcessTimeout):
            return job.process.wait(timeout=min(steps.next(), left))
    return None
