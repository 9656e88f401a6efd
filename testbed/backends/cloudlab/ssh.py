# SPDX-License-Identifier: MIT
"""Connections to experiment nodes: keys only, no host that ``known_hosts`` does not vouch for, one thread for all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import threading
from dataclasses import dataclass
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, TypeVar

import asyncssh

from testbed.backends.cloudlab.problems import NodeError
from testbed.errors import ConfigError, InternalError

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Sequence
    from pathlib import Path

    from testbed.backends.cloudlab.manifest import Machine

_T = TypeVar("_T")
_CHUNK = 256 << 10
_REQUESTS = 64  # of SFTP under way at a time
_ALIVE_S = 5.0  # between questions whether the far side is still there; three without answer end a connection
_STUCK_S = 10.0  # beyond its limit, until the loop counts as stuck
_KEY_HINT = "--identity is the file of a private key, such as ~/.ssh/id_ed25519"
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")


@dataclass(frozen=True, kw_only=True)
class Access:
    """How nodes are entered.

    Args:
        known_hosts: File that vouches for the nodes' keys.
        identities: Private keys; empty is those of ``~/.ssh`` and of the user's agent.
        patience_s: Wall-clock seconds that a node may take to let us in, or to answer a question.
    """

    known_hosts: Path
    identities: tuple[Path, ...] = ()
    patience_s: float = 30.0


@dataclass(frozen=True)
class Answer:
    """What a command on a node left."""

    status: int
    stdout: str
    stderr: str


class _Loop:
    """An asyncio loop in a thread of its own; made when first needed."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="ssh", daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[None, None, _T], limit_s: float | None = None) -> _T:
        """Do something in the loop and wait for it.

        Raises:
            TimeoutError: It took more than ``limit_s`` wall-clock seconds.
            InternalError: The loop itself asked; it would wait for ever.
        """
        if threading.current_thread() is self.thread:
            work.close()
            raise InternalError("the thread of the ssh connections was to wait for itself")

        async def limited() -> _T:
            return await asyncio.wait_for(work, limit_s)

        # A loop that does not even end what took too long is stuck; that is no reason to be stuck, too.
        patience_s = None if limit_s is None else limit_s + _STUCK_S
        return asyncio.run_coroutine_threadsafe(limited(), self.loop).result(patience_s)


async def _join(process: asyncssh.SSHClientProcess[bytes], channel: socket.socket) -> None:
    """Carry bytes between a process and a socket until both directions are over; then close the socket."""
    channel.setblocking(False)  # noqa: FBT003 (socket's own)
    loop = asyncio.get_running_loop()

    async def out() -> None:
        while data := await loop.sock_recv(channel, _CHUNK):
            process.stdin.write(data)
            await process.stdin.drain()
        process.stdin.write_eof()

    async def back() -> None:
        while data := await process.stdout.read(_CHUNK):
            await loop.sock_sendall(channel, data)

    sending = asyncio.create_task(out())
    try:
        with contextlib.suppress(OSError, asyncssh.Error):
            await back()
        # Nothing comes back any more: whoever waits at the other end of the socket is to know.
        with contextlib.suppress(OSError):
            channel.shutdown(SHUT_RDWR)
        with contextlib.suppress(OSError, asyncssh.Error):
            await sending
    finally:
        sending.cancel()
        channel.close()


_tasks: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    """Hold a task until it is done: the loop itself only knows of it weakly."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


_state: list[_Loop] = []
_lock = threading.RLock()  # the garbage collector may close a connection in the middle of it


def _loop() -> _Loop:
    with _lock:
        if not _state:
            _state.append(_Loop())
        return _state[0]


class Connection:
    """A connection to one node, kept for a whole run.

    Args:
        machine: The node.
        access: How it is entered.

    Raises:
        NodeError: It does not let us in, or does not answer; ``verdict`` says which.
        ConfigError: A file of ``access`` is not what it should be.
    """

    def __init__(self, machine: Machine, access: Access) -> None:
        self.machine = machine
        self.access = access
        self._known = _known_hosts(access.known_hosts)
        self._keys = [pair for file in access.identities for pair in _keys(file)]
        try:
            self._connection = _loop().run(self._connect(), access.patience_s)
        except Exception as error:
            raise self._refused(error) from error

    async def _connect(self) -> asyncssh.SSHClientConnection:
        machine = self.machine
        return await asyncssh.connect(
            machine.host,
            machine.port,
            username=machine.user,
            known_hosts=self._known,
            client_keys=self._keys or (),
            preferred_auth="publickey",
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_auth=False,
            agent_forwarding=False,
            x509_trusted_certs=None,
            encryption_algs=list(_CIPHERS),
            compression_algs=["none"],
            keepalive_interval=_ALIVE_S,
            keepalive_count_max=3,
        )

    def _refused(self, error: Exception) -> Exception:
        """Say why a node does not let us in; what is no fault of a node comes back as it is."""
        machine = self.machine
        where = f"{machine.user}@{machine.host} port {machine.port}"
        node = machine.name
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            name = machine.host if machine.port == 22 else f"[{machine.host}]:{machine.port}"
            file = shlex.quote(os.fspath(self.access.known_hosts))
            if self._is_known():
                detail = f"{where} shows another key than the one in {self.access.known_hosts}; nothing was sent to it"
                hint = (
                    f"was the node loaded afresh? Then: ssh-keygen -f {file} -R {shlex.quote(name)}, and ssh to it once"
                )
                return NodeError(node, "changed host key", detail, hint=hint)
            detail = f"{self.access.known_hosts} does not know {where}; nothing was sent to it"
            hint = (
                f"ssh to it once and compare the key: ssh -o UserKnownHostsFile={file} -p {machine.port} {machine.host}"
            )
            return NodeError(node, "unknown host key", detail, hint=hint)
        if isinstance(error, asyncssh.PermissionDenied):
            tried = ", ".join(map(str, self.access.identities)) or "the keys of ~/.ssh and of your ssh-agent"
            hint = "the public key must be in your CloudLab profile before the experiment starts; or --identity FILE"
            return NodeError(node, "refused key", f"{where} takes none of {tried}", hint=hint)
        if isinstance(error, TimeoutError):
            hint = "--patience SECONDS waits longer; the experiment's page says whether the node is ready"
            detail = f"{where} did not let us in within {self.access.patience_s:g} s"
            return NodeError(node, "slow node", detail, hint=hint)
        if isinstance(error, OSError | asyncssh.Error | asyncio.IncompleteReadError):
            return NodeError(node, "no answer", f"{where}: {_text(error)}")
        return error

    def _is_known(self) -> bool:
        """Say whether ``known_hosts`` has any key for the node."""
        return any(self._known.match(self.machine.host, "", self.machine.port)[:2])

    @property
    def alive(self) -> bool:
        """Whether the connection still stands, as far as anybody knows."""
        return not self._connection.is_closed()

    def run(self, words: Sequence[str], *, stdin: bytes = b"", limit_s: float | None = None) -> Answer:
        """Run a command as root and wait for its end.

        Args:
            words: Its words; quoted for the far shell.
            stdin: What it reads.
            limit_s: Wall-clock seconds that it may take; None is the patience for a node.

        Raises:
            NodeError: The connection was lost, or it takes too long.
        """
        limit_s = limit_s or self.access.patience_s
        command = self.command(words)
        try:
            done = _loop().run(self._run(command, stdin), limit_s)
        except TimeoutError as error:
            hint = "--patience SECONDS waits longer"
            raise NodeError(
                self.machine.name, "slow node", f"no answer within {limit_s:g} s to: {words[0]}", hint=hint
            ) from error
        except (OSError, asyncssh.Error) as error:
            raise self.lost(error) from error
        status = done.returncode if done.returncode is not None else -1
        if done.exit_status is None and done.exit_signal is None:
            raise self.lost(EOFError("it closed in the middle of a command"))
        return Answer(status, _decoded(done.stdout), _decoded(done.stderr))

    async def _run(self, command: str, stdin: bytes) -> asyncssh.SSHCompletedProcess:
        return await self._connection.run(command, input=stdin, encoding=None, check=False)

    def command(self, words: Sequence[str]) -> str:
        """Give the words as one line of a shell, that runs them as root."""
        sudo = [] if self.machine.user == "root" else ["sudo", "-n"]
        return shlex.join([*sudo, *words])

    def start(self, words: Sequence[str], channel: socket.socket, log: Path) -> RemoteProgram:
        """Start a command as root whose stdin and stdout are one of our sockets.

        Args:
            words: Its words.
            channel: Our end of a socket pair; the program owns it from now on.
            log: File that gets its stderr.

        Raises:
            NodeError: The connection was lost.
        """
        try:
            process = _loop().run(self._start(self.command(words), channel, log), self.access.patience_s)
        except (OSError, asyncssh.Error) as error:  # TimeoutError is an OSError
            channel.close()
            raise self.lost(error) from error
        return RemoteProgram(self, process, log)

    async def _start(self, command: str, channel: socket.socket, log: Path) -> asyncssh.SSHClientProcess[bytes]:
        process = await self._connection.create_process(command, stderr=os.fspath(log), encoding=None)
        _keep(asyncio.create_task(_join(process, channel)))
        return process

    def put(self, local: Path, part: str, target: str, *, limit_s: float | None = None) -> bool:
        """Copy a program to the node by SFTP, under another name until it is there whole.

        Args:
            local: The file.
            part: Its name meanwhile.
            target: Its name in the end.
            limit_s: Wall-clock seconds that it may take.

        Returns:
            False where the number of bytes there is another one (that they are the right ones, ssh has checked).

        Raises:
            asyncssh.SFTPError: The node refuses it.
            NodeError: The connection was lost.
        """
        try:
            return _loop().run(self._put(local, part, target, local.stat().st_size), limit_s)
        except asyncssh.SFTPError:
            raise
        except (OSError, asyncssh.Error) as error:
            raise self.lost(error) from error

    async def _put(self, local: Path, part: str, target: str, size: int) -> bool:
        async with self._connection.start_sftp_client() as sftp:
            await sftp.put(os.fspath(local), part, max_requests=_REQUESTS)
            if (await sftp.stat(part)).size != size:
                return False
            # A node that loses power must not have the name without the bytes.
            with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                async with sftp.open(part, "r+b") as file:
                    await file.fsync()
            await sftp.chmod(part, 0o755)
            await sftp.posix_rename(part, target)
            return True

    def lost(self, error: BaseException | None = None) -> NodeError:
        """Say that the connection is gone."""
        why = f": {_text(error)}" if error is not None else ""
        detail = f"to {self.machine.host} port {self.machine.port}{why}"
        hint = "finished cases are kept; `testbed cloudlab run --resume RUN` runs what is missing"
        return NodeError(self.machine.name, "connection lost", detail, hint=hint)

    def close(self) -> None:
        """Close the connection; called again it does nothing."""

        async def close() -> None:
            self._connection.close()
            with contextlib.suppress(Exception):  # however it ends, it is over
                await self._connection.wait_closed()

        with contextlib.suppress(TimeoutError):
            _loop().run(close(), 2.0)


class RemoteProgram:
    """A program that runs on a node.

    Args:
        connection: The connection that it lives in.
        process: asyncssh's view of it.
        log: What it wrote to stderr.
    """

    def __init__(self, connection: Connection, process: asyncssh.SSHClientProcess[bytes], log: Path) -> None:
        self._connection = connection
        self._process = process
        self._log = log

    @property
    def running(self) -> bool:
        """Whether it has not ended, as far as anybody knows."""
        return self._process.exit_status is None and not self._process.channel.is_closing()

    @property
    def status(self) -> int | None:
        """Its exit status; None where it has none (yet), as the connection was lost."""
        return self._process.exit_status

    def wait(self, limit_s: float) -> bool:
        """Wait for its end; false where it has not ended by then."""
        try:
            _loop().run(self._wait(), limit_s)
        except (TimeoutError, OSError, asyncssh.Error):
            return False
        return True

    async def _wait(self) -> None:
        await self._process.wait_closed()

    def last_words(self) -> str:
        """Give what it wrote to stderr."""
        with contextlib.suppress(OSError):
            return self._log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
        return ""


def _known_hosts(file: Path) -> asyncssh.SSHKnownHosts:
    """Read the file that vouches for nodes.

    Raises:
        ConfigError: It cannot be read, or has a line that is none of such a file.
    """
    try:
        return asyncssh.read_known_hosts(os.fspath(file))
    except OSError as error:
        raise ConfigError(f"cannot read {file}, which vouches for the nodes: {error.strerror}") from error
    except ValueError as error:
        hint = "lines are as sshd(8) says, SSH_KNOWN_HOSTS FILE FORMAT; mend or remove that one, or --known-hosts FILE"
        raise ConfigError(f"{file} is no known_hosts file: {error}", hint=hint) from error


def _keys(file: Path) -> list[asyncssh.SSHKeyPair]:
    """Read a private key.

    Raises:
        ConfigError: It cannot be read, is no private key, or has a passphrase.
    """
    try:
        return list(asyncssh.load_keypairs([os.fspath(file)]))
    except OSError as error:
        raise ConfigError(f"cannot read the key {file}: {error.strerror}", hint=_KEY_HINT) from error
    except asyncssh.KeyEncryptionError as error:
        raise _locked(file) from error
    except (asyncssh.KeyImportError, ValueError) as error:
        if "passphrase" in str(error).lower():
            raise _locked(file) from error
        raise ConfigError(f"wanted a private key in {file}, found none: {_text(error)}", hint=_KEY_HINT) from error


def _locked(file: Path) -> ConfigError:
    hint = f"ssh-add {shlex.quote(os.fspath(file))}, then leave out --identity: the keys of your ssh-agent are tried"
    return ConfigError(f"the key {file} has a passphrase, and nobody is asked for it", hint=hint)


def _decoded(data: object) -> str:
    return data.decode("utf-8", errors="replace") if isinstance(data, bytes) else str(data or "")


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
