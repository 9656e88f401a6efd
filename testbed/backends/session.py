# SPDX-License-Identifier: MIT
"""One conversation with an agent: requests, the events that come back, and the record of both."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from testbed.agent.protocol import VERSION, AgentGone, Channel
from testbed.errors import InternalError, TestbedError

if TYPE_CHECKING:
    import socket

    from testbed.agent.protocol import Event, Reply
    from testbed.backends.base import Recorder


Around = Callable[[str, Mapping[str, object] | None, Mapping[str, object]], dict[str, Any]]
"""Takes an operation, what is to be recorded of it, and its fields, and asks for it (in parts, or later)."""

_DRAIN_S = 2.0  # wall-clock seconds that an interrupted request may still take


class Peer(Protocol):
    """The program behind a channel: a guest, or an agent in namespaces."""

    def watch(self) -> float:
        """Give the seconds after which to ask again, or raise where no answer can be expected any more."""

    def gone(self) -> TestbedError:
        """Say why the channel closed."""

    def close(self) -> None:
        """End the program and remove what was made for it; called again it does nothing."""


class OutputSink(Protocol):
    """What takes the output and the end of one process."""

    def take_output(self, stream: int, data: bytes) -> None:
        """Take bytes of stdout (1) or stderr (2)."""

    def take_exit(self, status: int, end_ns: int) -> None:
        """Take the raw wait status and the time of the end."""


class Caller(Protocol):
    """Whoever asks an agent for operations: a session, or what stands before one."""

    def call(self, op: str, *, record: Mapping[str, object] | None = None, **fields: object) -> dict[str, Any]:
        """Ask for one operation; see :meth:`Session.call`."""


class Session:
    """Asks an agent, hands its events on, and has every operation recorded.

    Args:
        sock: The channel.
        peer: The program behind it.
        recorder: Who writes down what happens.
        reads_host: Whether the agent can copy files of this machine itself.
    """

    reads_host = False  # also where the far side is no agent of this machine at all

    def __init__(self, sock: socket.socket, peer: Peer, recorder: Recorder, *, reads_host: bool = False) -> None:
        self.recorder = recorder
        self.reads_host = reads_host
        self.peer = peer
        self.now_ns = -1
        self.processes: dict[int, OutputSink] = {}
        self.ends: list[tuple[str, tuple[str, str]]] = []  # of each link: its name and its nodes
        self.around: Around | None = None  # asked in place of `ask`: a replay stops time with it
        self._channel = Channel(sock, peer.watch)
        self._lock = threading.RLock()
        self.died: TestbedError | None = None  # what ended the far side before its time, whoever caught it
        self._broken: TestbedError | None = None

    def call(self, op: str, *, record: Mapping[str, object] | None = None, **fields: object) -> dict[str, Any]:
        """Ask the agent for one operation.

        Args:
            op: Its name in the protocol.
            record: Canonical fields for the record; None takes ``fields``.
            fields: Fields of the request.

        Returns:
            The ``ok`` of the reply.

        Raises:
            OSError: A system call failed on the far side, with its errno.
            NetworkTimeout: It took longer than it may by the network's clock.
            CapabilityError: The far kernel cannot do it.
            GuestCrashed: The far side died; the same error is raised again for everything that is asked later.
            DeadlineError: The far side makes no progress.
        """
        if self.around is not None:
            return self.around(op, record, fields)
        return self.ask(op, record, fields)

    def ask(self, op: str, record: Mapping[str, object] | None, fields: Mapping[str, object]) -> dict[str, Any]:
        """Ask for one operation and record it, past ``around``; as :meth:`call`."""
        with self._lock:
            start_ns = self.now_ns
            reply = self._ask(op, fields)
            shown = dict(fields if record is None else record)
            if reply.error is not None:
                shown["error"] = _error_word(reply.error)
            elif reply.ok:
                shown["reply"] = reply.ok
            self.recorder.command(op, {key: _plain(value) for key, value in shown.items()}, start_ns, reply.now_ns)
        if reply.error is not None:
            raise reply.error
        return reply.ok

    def ask_quietly(self, op: str, **fields: object) -> dict[str, Any]:
        """Ask for something that is no part of the test's story, so it is not recorded; raises as :meth:`call`."""
        with self._lock:
            reply = self._ask(op, fields)
        if reply.error is not None:
            raise reply.error
        return reply.ok

    def place(self, node: str) -> str:  # noqa: ARG002 (of one agent all nodes see the same files)
        """Give a name for the files that a node sees, below its own changes: other nodes may share them."""
        return ""

    def note(self, name: str, fields: Mapping[str, object], start_ns: int) -> None:
        """Record what was asked quietly, in words of its own, from ``start_ns`` to now."""
        self.recorder.command(name, {key: _plain(value) for key, value in fields.items()}, start_ns, self.now_ns)

    def _ask(self, op: str, fields: Mapping[str, object]) -> Reply:
        """Send a request and wait for its reply."""
        return self._answer(lambda: self._channel.request(op, fields, self._event))

    def _answer(self, wait: Callable[[], Reply]) -> Reply:
        """Wait for a reply; what breaks the conversation is raised again for every later request."""
        if self._broken is not None:
            raise self._broken
        try:
            reply = wait()
        except AgentGone as error:
            self._broken = self.died = self.peer.gone()
            raise self._broken from error
        except TestbedError as error:
            self._broken = self.died = error
            raise
        self.now_ns = reply.now_ns
        return reply

    def hello(self, shares: list[str]) -> dict[str, Any]:
        """Greet the agent, and check that it speaks our version."""
        self.send_hello(shares)
        return self.take_hello()

    def send_hello(self, shares: list[str]) -> None:
        """Greet the agent; it gets ready while we go on until :meth:`take_hello`, which also tells what is wrong."""
        with self._lock, contextlib.suppress(AgentGone):
            self._channel.send("hello", {"version": VERSION, "shares": shares})

    def take_hello(self) -> dict[str, Any]:
        """Give the agent's answer to the greeting, and check that it speaks our version."""
        with self._lock:
            reply = self._answer(lambda: self._channel.receive(self._event))
        if reply.error is not None:
            raise reply.error
        answer = reply.ok
        if answer.get("version") != VERSION:
            raise InternalError(
                f"the agent speaks version {answer.get('version')!r} of the protocol, not {VERSION}",
                hint="build it again: testbed build linux",
            )
        return answer

    def down(self) -> None:
        """Fetch what is left (exits, outputs, captures, the kernel's log), then end the far side in any case."""
        try:
            if self._broken is None:
                self._settle()
                self.call("down")
        finally:
            self._broken = self._broken or InternalError("the network is down; nothing can be asked of it any more")
            self.close()

    def close(self) -> None:
        """End the far side at once, without asking it for anything."""
        self._channel.close()
        self.peer.close()

    def _settle(self) -> None:
        """Fetch the reply to a request that an exception (Ctrl-C) interrupted."""
        if not self._channel.pending:
            return
        try:
            reply = self._channel.drain(self._event, limit_s=_DRAIN_S)
        except AgentGone as error:
            self._broken = self.died = self.peer.gone()
            raise self._broken from error
        if reply is None:
            self._broken = InternalError("a request was interrupted and did not end; the network cannot go on")
            raise self._broken
        self.now_ns = reply.now_ns

    def _event(self, event: Event) -> None:
        """Hand one event to whom it concerns."""
        match event:
            case {"event": "output", "id": int(number), "stream": int(stream), "data": bytes(data)}:
                self.recorder.process_output(number, stream, data)
                self.processes[number].take_output(stream, data)
            case {"event": "exit", "id": int(number), "status": int(status), "end": int(end_ns)}:
                self.recorder.process_exited(number, status, end_ns)
                self.processes[number].take_exit(status, end_ns)
            case {"event": "capture", "link": int(link), "end": int(end), "data": bytes(data)}:
                name, nodes = self.ends[link]
                self.recorder.capture(name, nodes[end], data)
            case {"event": "drops", "count": int(count)}:
                self.recorder.drops(count)
            case {"event": "kernel", "log": str(log), "taint": int(taint)}:
                self.recorder.kernel_log(log, taint)
            case _:
                raise InternalError(f"the agent sent an event that nobody knows: {event!r:.200}")


def _error_word(error: Exception) -> str:
    """Give a short canonical word for an error, without its text."""
    return f"errno {error.errno}" if isinstance(error, OSError) and error.errno else type(error).__name__


def _plain(value: object) -> object:
    """Make a field JSON-able: bytes become their length and digest."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes sha256:{hashlib.sha256(value).hexdigest()}"
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
