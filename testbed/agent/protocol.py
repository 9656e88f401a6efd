# SPDX-License-Identifier: MIT
"""Frames and messages between the host and an agent (``doc/internals.md``, section 3).

A frame is a ``u32`` little-endian length and one msgpack map. The host sends one request; the agent answers with any
number of events and then exactly one reply.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]  # it has no stubs

from testbed.errors import CapabilityError, DeadlineError, GuestCrashed, InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION = 1
FRAME_LIMIT = 16 << 20
_LENGTH = struct.Struct("<I")
_CHUNK = 256 << 10

Event = dict[str, Any]
"""One event as the agent sent it: ``{"event": name, ...}``."""


class AgentGone(GuestCrashed):
    """The other end of the channel closed: the agent, or the guest with it, is gone."""


class NetworkTimeout(DeadlineError, TimeoutError):  # noqa: N818  # says what happened
    """Something did not happen within its time, by the network's clock."""


@dataclass(frozen=True)
class Reply:
    """The reply to one request.

    Args:
        ok: What the operation gives.
        now_ns: The network's clock when it ended.
        error: What went wrong instead, as an exception to raise; None for success.
    """

    ok: dict[str, Any]
    now_ns: int
    error: Exception | None = None


class _GivenUp(Exception):  # noqa: N818  # not an error: drain answers with None
    """No reply came within the limit of a drain."""


class Channel:
    """The host's end of a channel.

    A request that was interrupted (by Ctrl-C, or by a watch that raised) leaves its reply pending: nothing more can be
    asked until :meth:`drain` has fetched it. Ctrl-C raises between any two steps of Python: what was sent, and whether
    the reply came, is known after each of them.

    Args:
        sock: A connected stream socket; the channel owns it from now on.
        watch: Asked while nothing arrives; gives the seconds after which to ask again, or raises to give up.
    """

    def __init__(self, sock: socket.socket, watch: Callable[[], float] | None = None) -> None:
        self._sock = sock
        self._watch = watch or _patient
        self._buffer = bytearray()
        self._chunk = memoryview(bytearray(_CHUNK))
        self._request = b""
        self._sent: list[int] = []  # bytes of the request, by each call of send
        self._got: list[int] = []  # bytes in the chunk, which belong at this place of the buffer
        self._got_at = 0
        self._give_up_at = math.inf
        self.pending = False

    def request(self, op: str, fields: Mapping[str, object], on_event: Callable[[Event], None]) -> Reply:
        """Send one request and wait for its reply; as :meth:`send` and :meth:`receive`."""
        self.send(op, fields)
        return self.receive(on_event)

    def send(self, op: str, fields: Mapping[str, object]) -> None:
        """Send one request; :meth:`receive` gives its reply.

        Args:
            op: Name of the operation.
            fields: Its fields, of the types that msgpack has.

        Raises:
            AgentGone: The channel closed.
            InternalError: A request is still pending.
        """
        if self.pending:
            raise InternalError(f"the agent was asked to {op!r} while the reply to an earlier request is still pending")
        body = msgpack.packb({"op": op, **fields}, use_bin_type=True)
        if len(body) > FRAME_LIMIT:
            raise ValueError(f"{op!r} takes {FRAME_LIMIT} bytes at once, not {len(body)}")
        self._request, self._sent = _LENGTH.pack(len(body)) + body, []
        self._buffer.clear()  # of the reply before
        self.pending = True
        self._send()

    def receive(self, on_event: Callable[[Event], None]) -> Reply:
        """Wait for the reply to the request that was sent.

        Args:
            on_event: Called with each event before the reply, in order.

        Raises:
            AgentGone: The channel closed.
            InternalError: The agent's words make no sense, or nothing was sent.
        """
        if not self.pending:
            raise InternalError("the agent was asked nothing that it could reply to")
        return self._await_reply(on_event)

    def drain(self, on_event: Callable[[Event], None], *, limit_s: float) -> Reply | None:
        """Wait, for ``limit_s`` wall-clock seconds at most, for the reply to a request that was interrupted.

        What was not sent yet of the request is sent now.

        Returns:
            The reply; None where none is due or none came.
        """
        if not self.pending:
            return None
        self._give_up_at = time.monotonic() + limit_s
        try:
            self._send()
            return self._await_reply(on_event)
        except _GivenUp:
            return None
        finally:
            self._give_up_at = math.inf

    def close(self) -> None:
        """Close the channel; an agent that reads end-of-file ends itself and all its processes."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def _await_reply(self, on_event: Callable[[Event], None]) -> Reply:
        while True:
            message, end = self._receive()
            if "event" in message:
                del self._buffer[:end]
                on_event(message)
            else:
                reply = _reply(message)
                self.pending = False
                return reply

    def _send(self) -> None:
        """Send what is left of the request."""
        while rest := memoryview(self._request)[sum(self._sent) :]:
            self._sock.settimeout(self._wait_s())
            try:
                # One step of Python, so that no exception comes between what is sent and that it is written down.
                self._sent.extend(map(self._sock.send, (rest,)))
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError) as error:
                raise AgentGone("the agent closed the channel in the middle of a request") from error

    def _receive(self) -> tuple[dict[str, Any], int]:
        """Give the next frame, and where it ends in the buffer, in which it stays."""
        self._fill(_LENGTH.size)
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > FRAME_LIMIT:
            raise InternalError(
                f"the agent sent a frame of {length} bytes, more than {FRAME_LIMIT}: no agent of this version"
            )
        end = _LENGTH.size + length
        self._fill(end)
        # Both are released in any case: an exception's traceback would keep them, and the buffer could not be changed.
        with memoryview(self._buffer) as view, view[_LENGTH.size : end] as body:
            return _unpack(body), end

    def _fill(self, wanted: int) -> None:
        """Read until the buffer holds so many bytes."""
        ask_at = 0.0
        while True:
            for count in self._got:  # done twice, where an exception comes before it is said to be done, it is the same
                if not count:
                    raise AgentGone("the agent closed the channel")
                self._buffer[self._got_at :] = self._chunk[:count]
            self._got.clear()
            if len(self._buffer) >= wanted:
                return
            if (now := time.monotonic()) >= ask_at:
                wait_s = self._wait_s()
                ask_at = now + wait_s
                self._sock.settimeout(wait_s)
            self._got_at = len(self._buffer)
            try:
                self._got.extend(map(self._sock.recv_into, (self._chunk,)))  # in one step, as in _send
            except TimeoutError:
                continue
            except ConnectionResetError:
                self._got.append(0)

    def _wait_s(self) -> float:
        """Ask how long to wait for the socket before asking again."""
        left_s = self._give_up_at - time.monotonic()
        if left_s <= 0:
            raise _GivenUp
        return min(self._watch(), max(left_s, 0.001))


def _patient() -> float:
    return 3600.0


def _unpack(body: memoryview) -> dict[str, Any]:
    try:
        message = msgpack.unpackb(body, raw=False, unicode_errors="surrogateescape")
    except (ValueError, msgpack.UnpackException) as error:
        raise InternalError(f"the agent sent a frame that is no msgpack: {bytes(body[:32])!r}") from error
    if not isinstance(message, dict) or not message.keys() & {"event", "ok", "err"}:
        raise InternalError(f"the agent sent neither an event nor a reply: {message!r:.200}")
    return message


def _reply(message: dict[str, Any]) -> Reply:
    now = message.get("now")
    if not isinstance(now, int):
        raise InternalError(f"the agent sent a reply without its time: {message!r:.200}")
    if "ok" in message:
        return Reply(ok=message["ok"] or {}, now_ns=now)
    return Reply(ok={}, now_ns=now, error=error_of(message["err"]))


def error_of(err: Mapping[str, Any]) -> Exception:
    """Turn the ``err`` of a reply into the exception that says whose fault it is.

    Args:
        err: ``{"kind": ..., "what": ..., "errno": int | None}``.

    Returns:
        ``os``: an OSError with the far side's errno; ``timeout``: NetworkTimeout; ``capability``: CapabilityError;
        everything else is our own mistake: InternalError.
    """
    kind, what, number = err.get("kind"), str(err.get("what")), err.get("errno")
    if kind == "os" and isinstance(number, int):
        return OSError(number, what)
    if kind == "timeout":
        return NetworkTimeout(what)
    if kind == "capability":
        return CapabilityError(what)
    return InternalError(f"the agent says ({kind}): {what}")
