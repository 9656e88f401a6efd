# SPDX-License-Identifier: MIT
"""The native program that a library lives in, in a node: started, talked to, and what is left when it dies.

It connects back to an abstract Unix socket of the node, where the agent listens: so every backend carries it alike, and
waiting for an answer is waiting in the network's time. Frames are a ``u32`` little-endian length and one msgpack map.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
import struct
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]  # it has no stubs

from testbed.agent.protocol import NetworkTimeout
from testbed.backends.completion import LibOSCrashed
from testbed.backends.process import end_text, last_words
from testbed.backends.sockets import RemoteSocket
from testbed.errors import DeadlineError, InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.backends.node import Node
    from testbed.backends.session import Session

_LENGTH = struct.Struct("<I")
_CONNECT_S = 30.0
_LOOK_S = 0.25  # between looks at whether the program still lives
_END_S = 10.0


class _Quiet:
    """A session whose operations are not recorded one by one: the calls that they carry are."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def call(self, op: str, *, record: Mapping[str, object] | None = None, **fields: object) -> dict[str, Any]:
        """Ask the agent, as ``Session.call``."""
        del record
        return self._session.ask_quietly(op, **fields)


class HostProgram:
    """A running host program.

    Args:
        node: Where it runs.
        argv: Its command, up to the name of the socket.
        env: Its environment.
        name: What messages call it: ``h1: catnap``.
        number: Of the host programs of this node, from 1: it makes the socket's name, the same in every execution.
        session: The conversation with the agent.
    """

    def __init__(
        self, node: Node, argv: list[str], env: Mapping[str, str], *, name: str, number: int, session: Session
    ) -> None:
        self.name = name
        self.session = session
        path = f"testbed-libos-{number}"
        self._listener = _listener(node, session)
        self._listener.bind(b"\0" + path.encode())
        self._listener.listen()
        self.process = node.spawn([*argv, path], env=env)

    def connection(self) -> Connection:
        """Take the next connection of the program: one for each of its threads.

        Raises:
            LibOSCrashed: The program ended instead.
        """
        until = self.session.now_ns + round(_CONNECT_S * 1e9)
        self._listener.timeout = _LOOK_S
        while True:
            try:
                peer, _ = self._listener.accept()
            except NetworkTimeout as error:
                if self.session.now_ns >= until or not self.process.running:
                    raise self.crashed("before it was ready") from error
            else:
                return Connection(self, peer)

    def crashed(self, when: str) -> LibOSCrashed:
        """Say how the program ended, once its connection has."""
        with contextlib.suppress(DeadlineError):
            self.process.wait(_END_S)
        if self.process.running:
            self.process.kill(signal.SIGKILL)
            self.process.wait(_END_S)
            return LibOSCrashed(f"{self.name}: closed its connection {when}, and was killed")
        done = self.process.completed()
        return LibOSCrashed(f"{self.name}: {end_text(done.returncode)} {when}{last_words(done)}")

    def kill(self) -> None:
        """End the program at once."""
        self.process.kill(signal.SIGKILL)

    def end(self) -> int:
        """Wait for the end of a program whose connections are closed; give its exit status."""
        self._listener.close()
        return self.process.wait(_END_S).returncode


class Connection:
    """One thread of a host program."""

    def __init__(self, program: HostProgram, sock: RemoteSocket) -> None:
        self.program = program
        self._sock = sock
        self._ids = itertools.count(1)

    def request(self, call: str, fields: Mapping[str, object], timeout_s: float) -> dict[str, Any]:
        """Ask for one call and wait for its reply.

        Raises:
            NetworkTimeout: None came in time; nothing more can be asked then.
            EOFError: The program is gone.
        """
        number = next(self._ids)
        body = msgpack.packb({"id": number, "call": call, **fields}, use_bin_type=True)
        self._sock.timeout = timeout_s
        try:
            self._sock.sendall(_LENGTH.pack(len(body)) + body)
            reply = self._reply()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise EOFError("the connection was reset") from error
        if reply.get("id") != number:
            raise InternalError(f"the host program answered {reply.get('id')!r}, asked for {number}")
        return reply

    def close(self) -> None:
        """Close it: its thread ends, and with the first one the program."""
        self._sock.close()

    def _reply(self) -> dict[str, Any]:
        data = bytearray()
        wanted = _LENGTH.size
        while len(data) < wanted:
            part = self._sock.recv(1 << 20)
            if not part:
                raise EOFError("the connection was closed")
            data += part
            if len(data) >= _LENGTH.size:
                wanted = _LENGTH.size + _LENGTH.unpack_from(data)[0]
        reply = msgpack.unpackb(bytes(data[_LENGTH.size :]), raw=False, unicode_errors="surrogateescape")
        if not isinstance(reply, dict):
            raise InternalError(f"the host program sent {reply!r:.100}")
        return reply


def _listener(node: Node, session: Session) -> RemoteSocket:
    quiet = _Quiet(session)
    family, kind = int(socket.AF_UNIX), int(socket.SOCK_STREAM)
    ok = quiet.call("socket", node=node.name, domain=family, type=kind, protocol=0)
    return RemoteSocket(quiet, ok["sock"], family, kind, node.interface_index)
