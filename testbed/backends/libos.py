# SPDX-License-Identifier: MIT
"""A LibOS in a node: the queue calls of its library, bytes in and bytes out, as a test makes them."""

from __future__ import annotations

import contextlib
import itertools
import socket as sockets
from typing import TYPE_CHECKING, Any, Self

from testbed.agent.protocol import NetworkTimeout
from testbed.backends import sockaddr
from testbed.backends.completion import Completion, LibOSBroken, LibOSError, LibOSTimeout, Op, Token, errno_name
from testbed.errors import ConfigError, DeadlineError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from types import TracebackType

    from testbed.backends.hostprogram import Connection, HostProgram
    from testbed.backends.process import Process
    from testbed.backends.sockaddr import Address

DEFAULT_LIMIT_S = 60.0
_NS = 1_000_000_000

Timeout = float | tuple[int, int] | None
"""Seconds, or seconds and nanoseconds as they are put into the ``timespec``; None waits for ever."""


class LibOS:
    """One engine of a LibOS in a node; a context manager that ends it.

    The calls are those of the public header without ``demi_``. An errno raises :class:`LibOSError`. For tests of
    arguments each call takes ``null``, names of arguments that become NULL, and an address may be raw bytes.

    Args:
        flavor: Its name.
        node: Name of its node.
        program: The host program.
        connection: The thread of it that this engine belongs to.
        address: The IPv4 address that it has in the network; empty where it has none.
        abilities: What the flavor can do.
        limit_s: Seconds of the network's clock that a call without a time-out of its own may take.
    """

    def __init__(
        self,
        flavor: str,
        node: str,
        program: HostProgram,
        connection: Connection,
        *,
        address: str,
        abilities: frozenset[str],
        limit_s: float = DEFAULT_LIMIT_S,
    ) -> None:
        self.flavor = flavor
        self.node = node
        self.address = address
        self.abilities = abilities
        self.limit_s = limit_s
        self._program = program
        self._connection = connection
        self._numbers = itertools.count(1)
        self._pending: dict[int, Token] = {}  # by the library's token
        self._main = True
        self._over = False

    def __repr__(self) -> str:
        return f"<LibOS {self.flavor} of {self.node}: {len(self._pending)} pending>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:  # the first error is the one to show
            with contextlib.suppress(Exception):
                self.kill()

    @property
    def pending(self) -> tuple[Token, ...]:
        """The operations that were started and have not completed, oldest first."""
        return tuple(self._pending.values())

    @property
    def process(self) -> Process:
        """The process that the library lives in."""
        return self._program.process

    # The calls, in the order of the header.

    def init(self, args: Sequence[str] = (), *, null: Collection[str] = ()) -> None:
        """Make the engine; done already for an engine that ``Node.libos`` or :meth:`thread` gave."""
        self._call("init", {"args": list(args)}, null)

    def socket(
        self,
        domain: int = sockets.AF_INET,
        kind: int = sockets.SOCK_STREAM,
        protocol: int = 0,
        *,
        null: Collection[str] = (),
    ) -> int:
        """Make a socket queue; give its descriptor."""
        return self._qd("socket", {"domain": int(domain), "kind": int(kind), "protocol": protocol}, null)

    def bind(self, qd: int, address: Address, *, null: Collection[str] = ()) -> None:
        """Give a queue its local address, ``(host, port)``."""
        self._call("bind", {"qd": qd, "address": _raw(address)}, null)

    def listen(self, qd: int, backlog: int = 16) -> None:
        """Begin to take connections."""
        self._call("listen", {"qd": qd, "backlog": backlog}, ())

    def accept(self, qd: int, *, null: Collection[str] = ()) -> Token:
        """Start to accept one connection."""
        return self._token(Op.ACCEPT, "accept", {"qd": qd}, null)

    def connect(self, qd: int, address: Address, *, null: Collection[str] = ()) -> Token:
        """Start to connect."""
        return self._token(Op.CONNECT, "connect", {"qd": qd, "address": _raw(address)}, null)

    def close(self, qd: int) -> None:
        """Close a queue; what is pending on it completes with ECANCELED; :meth:`stop` ends the LibOS itself."""
        self._call("close", {"qd": qd}, ())

    def push(
        self,
        qd: int,
        data: bytes,
        *,
        source: str = "libos",
        sga: int | None = None,
        count: int | None = None,
        null: Collection[str] = (),
    ) -> Token:
        """Start to send bytes.

        Args:
            qd: The queue.
            data: What to send.
            source: Where the bytes lie meanwhile: ``libos`` (``demi_sgaalloc``) or ``heap`` (memory of the program's).
            sga: An array of :meth:`sgaalloc` instead; ``data`` is copied to its begin.
            count: A number of segments other than 1.
            null: ``token``, ``sga``, ``segment`` (with ``heap``).
        """
        fields = {"qd": qd, "data": bytes(data), "source": source, "sga": sga, "count": count, "address": None}
        return self._token(Op.PUSH, "push", fields, null)

    def pushto(
        self, qd: int, data: bytes, address: Address, *, source: str = "libos", null: Collection[str] = ()
    ) -> Token:
        """Start to send a datagram to an address; arguments as of :meth:`push`."""
        fields = {"qd": qd, "data": bytes(data), "source": source, "sga": None, "count": None}
        return self._token(Op.PUSH, "push", {**fields, "address": _raw(address)}, null)

    def pop(self, qd: int, *, null: Collection[str] = ()) -> Token:
        """Start to receive."""
        return self._token(Op.POP, "pop", {"qd": qd}, null)

    def setsockopt(self, qd: int, level: int, name: int, value: int | bytes, *, null: Collection[str] = ()) -> None:
        """Set an option; a number is a C ``int``."""
        raw = value.to_bytes(4, "little", signed=True) if isinstance(value, int) else bytes(value)
        self._call("setsockopt", {"qd": qd, "level": level, "name": name, "value": raw}, null)

    def getsockopt(self, qd: int, level: int, name: int, size: int = 4, *, null: Collection[str] = ()) -> bytes:
        """Give the bytes of an option, ``size`` of them at most."""
        fields = {"qd": qd, "level": level, "name": name, "size": size}
        return bytes(self._call("getsockopt", fields, null)["value"])

    def getpeername(self, qd: int, size: int = 16, *, null: Collection[str] = ()) -> Address:
        """Give the address of the peer."""
        return sockaddr.unpack(bytes(self._call("getpeername", {"qd": qd, "size": size}, null)["value"]))

    def sgaalloc(self, size: int) -> tuple[int, int]:
        """Allocate an array: its number for :meth:`push` and :meth:`sgafree`, and the bytes of its segment.

        Raises:
            LibOSError: ENOMEM: the array has no segment.
        """
        reply = self._call("sgaalloc", {"size": size}, ())
        if not reply["segments"]:
            raise LibOSError(12, f"{self._where}: sgaalloc({size})")
        return int(reply["sga"]), int(reply["length"])

    def sgafree(self, sga: int, *, null: Collection[str] = ()) -> None:
        """Free an array of :meth:`sgaalloc`."""
        self._call("sgafree", {"sga": sga}, null)

    def wait(
        self, token: Token | int, timeout: Timeout = None, *, check: bool = True, null: Collection[str] = ()
    ) -> Completion:
        """Wait for one operation.

        Args:
            token: The operation; a number is handed to the library as it is.
            timeout: Seconds of the network's clock, after which ETIMEDOUT is raised and the operation goes on; None
                waits for ever: for longer than ``limit_s`` the case's verdict is ``timed out``.
            check: Whether an operation that failed raises.
            null: ``result``.

        Raises:
            LibOSError: The time-out was reached, the token is not known, or the operation failed.
            LibOSTimeout: It did not complete in ``limit_s``.
        """
        value = token.value if isinstance(token, Token) else token
        reply = self._call("wait", {"token": value}, null, timeout, shown={"token": _shown(token)})
        done = self._completion(reply["result"])
        if done.token.value != value:
            raise LibOSBroken(f"{self._where}: wait for {_shown(token)} gave the result of {done.token}")
        return done.check() if check else done

    def wait_any(
        self,
        tokens: Sequence[Token | int],
        timeout: Timeout = None,
        *,
        check: bool = True,
        count: int | None = None,
        null: Collection[str] = (),
    ) -> Completion:
        """Wait for the first of several operations; ``index`` of the completion says which. See :meth:`wait`.

        Args:
            tokens: The operations.
            timeout: As of :meth:`wait`.
            check: Whether an operation that failed raises.
            count: A number of tokens that is wrong: 0 or less.
            null: ``result``, ``index``, ``tokens``.
        """
        values = [token.value if isinstance(token, Token) else token for token in tokens]
        shown = {"tokens": [_shown(token) for token in tokens]}
        reply = self._call("wait_any", {"tokens": values, "count": count}, null, timeout, shown=shown)
        done, index = self._completion(reply["result"], reply["index"]), reply["index"]
        if not 0 <= index < len(values) or done.token.value != values[index]:
            raise LibOSBroken(f"{self._where}: wait_any gave index {index} of {shown['tokens']} for {done.token}")
        return done.check() if check else done

    def wait_next_n(
        self, maximum: int, timeout: Timeout = None, *, check: bool = True, null: Collection[str] = ()
    ) -> list[Completion]:
        """Wait for any operation of this engine; give all that completed, ``maximum`` of them at most."""
        reply = self._call("wait_next_n", {"max": maximum}, null, timeout)
        if not 1 <= reply["index"] <= maximum:
            raise LibOSBroken(f"{self._where}: wait_next_n({maximum}) gave {reply['index']} results")
        done = [self._completion(result) for result in reply["results"]]
        return [completion.check() for completion in done] if check else done

    def wait_all(self, tokens: Iterable[Token], timeout: Timeout = None) -> list[Completion]:
        """Wait for several operations, one after the other; give their completions in this order."""
        return [self.wait(token, timeout) for token in tokens]

    def create_pipe(self, name: str | bytes, *, null: Collection[str] = ()) -> int:
        """Make a pipe; give the queue of its end."""
        return self._qd("create_pipe", {"name": _bytes(name)}, null)

    def open_pipe(self, name: str | bytes, *, null: Collection[str] = ()) -> int:
        """Open a pipe that exists; give the queue of its end."""
        return self._qd("open_pipe", {"name": _bytes(name)}, null)

    # The engine itself.

    def thread(self, *, init: bool = True) -> LibOS:
        """Give a further engine, in a thread of its own of the same process.

        Args:
            init: Whether :meth:`init` is called; a test of what comes before that does it itself.
        """
        self._call("thread", {}, ())
        made = LibOS(
            self.flavor,
            self.node,
            self._program,
            self._program.connection(),
            address=self.address,
            abilities=self.abilities,
            limit_s=self.limit_s,
        )
        made._main = False
        if init:
            made.init()
        return made

    def stop(self) -> None:
        """End the engine, and with the first one of a process the process; again it does nothing.

        Raises:
            LibOSCrashed: The process ended by a signal, or with an exit status other than 0.
        """
        if self._over:
            return
        self._over = True
        self._connection.close()
        if self._main and self._program.end():
            raise self._program.crashed("at its end")

    def kill(self) -> None:
        """End the process at once, as if it had crashed (SIGKILL)."""
        self._over = True
        self._program.kill()

    @property
    def _where(self) -> str:
        return f"{self.node}: {self.flavor}"

    def _qd(self, call: str, fields: Mapping[str, object], null: Collection[str]) -> int:
        return int(self._call(call, fields, null)["qd"])

    def _token(self, op: Op, call: str, fields: Mapping[str, object], null: Collection[str]) -> Token:
        reply = self._call(call, fields, null)
        token = Token(next(self._numbers), int(reply["token"]), op, _as_int(fields["qd"]), self._now_s)
        if token.value in self._pending:
            raise LibOSBroken(f"{self._where}: {call} gave a token twice: it is still {self._pending[token.value]}")
        self._pending[token.value] = token
        return token

    @property
    def _now_s(self) -> float:
        return self._program.session.now_ns / _NS

    def _completion(self, result: dict[str, Any], index: int = 0) -> Completion:
        """Read a result and check that it belongs to what was started."""
        value, opcode = int(result["token"]), int(result["opcode"])
        token = self._pending.pop(value, None)
        if token is None:
            raise LibOSBroken(f"{self._where}: a result for token {value:#x}, which is not pending")
        if opcode not in (token.op, Op.FAILED):
            raise LibOSBroken(f"{self._where}: {token} completed with opcode {opcode}")
        if result.get("freed"):
            raise LibOSBroken(f"{self._where}: sgafree of the buffer of {token}: {errno_name(result['freed'])}")
        raw = result.get("address")
        return Completion(
            token=token,
            op=Op(opcode),
            ret=int(result["ret"]),
            data=bytes(result.get("data") or b""),
            address=sockaddr.unpack(bytes(raw)) if raw and any(raw) else None,
            accepted=int(result.get("accepted", -1)),
            index=index,
            where=self._where,
        )

    def _call(
        self,
        call: str,
        fields: Mapping[str, object],
        null: Collection[str],
        timeout: Timeout = None,
        *,
        shown: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        """Make one call; judge what comes back; record it."""
        if self._over:
            raise ConfigError(f"{self._where}: the LibOS was ended; nothing can be asked of it any more")
        waits = call.startswith("wait")
        pair = _timespec(timeout)
        extra: dict[str, object] = {"timeout": pair} if waits else {}
        limit_s = self.limit_s + (max(pair[0], 0) if pair is not None else 0)
        words = {**fields, **(shown or {})}
        start_ns = self._program.session.now_ns
        reply: dict[str, Any] = {}
        try:
            reply = self._connection.request(call, {**fields, **extra, "null": sorted(null)}, limit_s)
        except EOFError as error:
            self._over = True
            raise self._program.crashed(f"in {_call_text(call, words)} at {self._now_s:.6f} s") from error
        except NetworkTimeout as error:
            raise self._late(f"{_call_text(call, words)} did not return within {limit_s:g} s") from error
        except DeadlineError as error:  # the guest made no progress: the library computes without a system call
            raise LibOSTimeout(f"{self._where}: {_call_text(call, words)}: {error.message}", self.pending) from error
        finally:
            self._record(call, {**words, **extra, "null": sorted(null)}, reply, start_ns)
        self._judge(call, words, reply)
        return reply

    def _late(self, message: str) -> LibOSTimeout:
        self.kill()
        return LibOSTimeout(f"{self._where}: {message} of the network's time", self.pending)

    def _judge(self, call: str, words: dict[str, object], reply: dict[str, Any]) -> None:
        errno = int(reply["errno"])
        what = f"{self._where}: {_call_text(call, words)}"
        if reply.get("overran"):
            raise LibOSBroken(f"{what} wrote behind the 64 bytes of demi_qresult_t: it has another size there")
        if not errno:
            return
        if errno < 0:
            raise LibOSBroken(f"{what} returned {errno}: an errno is positive")
        if reply.get("wrote"):
            raise LibOSBroken(f"{what} failed with {errno_name(errno)} and wrote to its results all the same")
        failed = reply.get("failed")
        raise LibOSError(errno, what if failed is None else f"{what}: {failed}")

    def _record(self, call: str, words: dict[str, object], reply: dict[str, Any], start_ns: int) -> None:
        """Record the call, without the library's own tokens, which may be drawn by chance."""
        answer = {key: value for key, value in reply.items() if key not in ("id", "token", "result", "results")}
        done = [reply["result"]] if "result" in reply else reply.get("results", [])
        if done:
            answer["done"] = [{**result, "token": self._number(result["token"])} for result in done]
        fields = {key: value for key, value in words.items() if value not in (None, [])}
        self._program.session.note(f"libos.{call}", {"node": self.node, **fields, "reply": answer}, start_ns)

    def _number(self, value: int) -> int | None:
        token = self._pending.get(value)
        return None if token is None else token.number


def _raw(address: Address) -> bytes:
    if isinstance(address, bytes):
        return address
    return sockaddr.pack(sockets.AF_INET, tuple(address), _no_index)


def _no_index(name: str) -> int:
    raise ConfigError(f"an address of a queue has no interface, found {name!r}")


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


def _as_int(value: object) -> int:
    return value if isinstance(value, int) else -1


def _shown(token: Token | int) -> object:
    return token.number if isinstance(token, Token) else f"{token:#x}"


def _timespec(timeout: Timeout) -> tuple[int, int] | None:
    if timeout is None or isinstance(timeout, tuple):
        return timeout
    nanoseconds = round(timeout * _NS)
    return nanoseconds // _NS, nanoseconds % _NS


def _call_text(call: str, words: dict[str, object]) -> str:
    """Write a call for a message; bytes as their number."""
    shown = (
        f"{name}={f'{len(value)} bytes' if isinstance(value, bytes) else value}"
        for name, value in words.items()
        if value not in (None, [])
    )
    return f"{call}({', '.join(shown)})"
