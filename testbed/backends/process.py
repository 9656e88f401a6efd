# SPDX-License-Identifier: MIT
"""Processes in a node: running ones, and what is left of those that ended."""

from __future__ import annotations

import os
import shlex
import signal as signals
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.backends.session import Session

_SHOWN_LINES = 15
_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A process that ended.

    Args:
        node: Where it ran.
        argv: Its command.
        returncode: Its exit status, or minus the number of the signal that ended it.
        stdout_bytes: All that it wrote to stdout.
        stderr_bytes: All that it wrote to stderr.
        start_s: When it started, in seconds of the network's clock.
        end_s: When it ended.
    """

    node: str
    argv: tuple[str, ...]
    returncode: int
    stdout_bytes: bytes
    stderr_bytes: bytes
    start_s: float
    end_s: float

    @property
    def stdout(self) -> str:
        """What it wrote to stdout as text; bytes that are no UTF-8 become surrogates (see ``os.fsencode``)."""
        return _text(self.stdout_bytes)

    @property
    def stderr(self) -> str:
        """What it wrote to stderr as text."""
        return _text(self.stderr_bytes)

    @property
    def duration_s(self) -> float:
        """How long it ran, in seconds of the network's clock."""
        return self.end_s - self.start_s

    def check(self) -> Completed:
        """Give the process itself when it exited with status 0.

        Raises:
            ProcessFailed: It did not.
        """
        if self.returncode:
            raise ProcessFailed(self)
        return self


class ProcessFailed(AssertionError):  # noqa: N818  # says what happened
    """A process that had to succeed did not; the message shows its command, its end and its last words."""

    def __init__(self, completed: Completed) -> None:
        self.completed = completed
        super().__init__(
            f"{completed.node}: {shown(completed.argv)}: {end_text(completed.returncode)} "
            f"after {completed.duration_s:.6g} s{last_words(completed)}"
        )


class ProcessTimeout(DeadlineError):  # noqa: N818  # says what happened
    """A process took longer than it may by the network's clock; ``completed`` is what is left if it was killed."""

    def __init__(self, message: str, completed: Completed | None = None) -> None:
        self.completed = completed
        super().__init__(message)


class Process:
    """A process that was started in a node.

    Args:
        session: The conversation with the agent.
        number: The process's number in the network, from 1.
        node: Name of its node.
        argv: Its command.
    """

    def __init__(self, session: Session, number: int, node: str, argv: Sequence[str]) -> None:
        self._session = session
        self._number = number
        self._output = {1: bytearray(), 2: bytearray()}
        self._status: int | None = None
        self._listener: Callable[[int, bytes], None] | None = None
        self._start_ns = session.now_ns
        self._end_ns = 0
        self.node = node
        self.argv = tuple(argv)
        self.pid = 0
        session.processes[number] = self

    def __repr__(self) -> str:
        state = "running" if self._status is None else end_text(os.waitstatus_to_exitcode(self._status))
        return f"<Process {self._number} of {self.node}: {shown(self.argv)}: {state}>"

    def take_output(self, stream: int, data: bytes) -> None:
        """Take what the process wrote next."""
        self._output[stream] += data
        if self._listener is not None:
            self._listener(stream, data)

    def listen(self, listener: Callable[[int, bytes], None]) -> None:
        """Have each piece of stdout (1) and stderr (2) handed on as it comes; what has come already, at once."""
        self._listener = listener
        for stream, data in self._output.items():
            if data:
                listener(stream, bytes(data))

    def take_exit(self, status: int, end_ns: int) -> None:
        """Take the end of the process."""
        self._status = status
        self._end_ns = end_ns

    @property
    def running(self) -> bool:
        """Whether the process still runs (asks the agent, which also fetches new output)."""
        self._refresh()
        return self._status is None

    @property
    def stdout(self) -> str:
        """What the process has written to stdout so far."""
        self._refresh()
        return _text(bytes(self._output[1]))

    @property
    def stderr(self) -> str:
        """What the process has written to stderr so far."""
        self._refresh()
        return _text(bytes(self._output[2]))

    def wait(self, timeout: float | None = 60.0) -> Completed:
        """Wait until the process ends, for ``timeout`` seconds of the network's clock at most.

        Raises:
            ProcessTimeout: It still runs then (and goes on running).
        """
        if self._status is None:
            self._session.call("wait", ids=[self._number], all=True, timeout=nanoseconds(timeout))
        if self._status is None:
            raise ProcessTimeout(f"{self.node}: {shown(self.argv)}: still runs after waiting {timeout:g} s")
        return self.completed()

    def kill(self, signal: int = signals.SIGTERM, *, group: bool = True) -> None:
        """Send a signal to the process, or (``group``) to its process group; one that has ended is left alone."""
        if self._status is None:
            try:
                self._session.call("kill", id=self._number, signal=int(signal), group=group)
            except ProcessLookupError:
                return

    def send_stdin(self, data: bytes | str, *, eof: bool = False) -> None:
        """Write to the stdin of a process spawned with ``stdin=True``; ``eof`` then closes it."""
        payload = data.encode() if isinstance(data, str) else bytes(data)
        self._session.call("stdin", id=self._number, data=payload, eof=eof)

    def completed(self) -> Completed:
        """Give what is left of a process that has ended."""
        if self._status is None:
            raise ProcessTimeout(f"{self.node}: {shown(self.argv)}: still runs")
        return Completed(
            node=self.node,
            argv=self.argv,
            returncode=os.waitstatus_to_exitcode(self._status),
            stdout_bytes=bytes(self._output[1]),
            stderr_bytes=bytes(self._output[2]),
            start_s=self._start_ns / _NS,
            end_s=self._end_ns / _NS,
        )

    def _refresh(self) -> None:
        if self._status is None:
            self._session.call("output", id=self._number)


def shown(argv: Sequence[str]) -> str:
    """Give a command as one line, for a message."""
    return shlex.join(argv).replace("\n", "\\n")


def end_text(returncode: int) -> str:
    """Say how a process ended: ``exit status 2`` or ``killed by SIGSEGV``."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"killed by {signals.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"


def last_words(completed: Completed) -> str:
    """Give the last lines of both outputs, each with its name, for a message."""
    text = ""
    for name, output in (("stdout", completed.stdout), ("stderr", completed.stderr)):
        lines = output.splitlines()
        if lines:
            left_off = f" (last {_SHOWN_LINES} of {len(lines)} lines)" if len(lines) > _SHOWN_LINES else ""
            text += f"\n{name}{left_off}:\n" + "\n".join(f"  {line}" for line in lines[-_SHOWN_LINES:])
    return text or "\n(it wrote nothing)"


def nanoseconds(seconds: float | None) -> int | None:
    """Turn seconds into whole nanoseconds; None stays None."""
    return None if seconds is None else round(seconds * _NS)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")
