# SPDX-License-Identifier: MIT
"""A live node: what a test runs, reads, writes and waits for in it."""

from __future__ import annotations

import functools
import os
import shlex
from typing import TYPE_CHECKING, Any

from testbed.agent.protocol import FRAME_LIMIT, NetworkTimeout
from testbed.backends.process import Completed, Process, ProcessTimeout, last_words, nanoseconds, shown
from testbed.backends.sockets import RemoteSocket
from testbed.errors import ConfigError, TestbedError, near_misses
from testbed.libos.artifacts import sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.backends.libos import LibOS
    from testbed.backends.network import Network
    from testbed.backends.workload import Workload
    from testbed.libos.foreign_flavor import Wrapper
    from testbed.libos.library import Library
    from testbed.scenarios.layout import Interface
    from testbed.scenarios.topology import Kind

_NOT_STARTED = 127  # the exit status that shells give to a program that is not there

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",  # noqa: S108  # the node's own tmpfs
    "USER": "root",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "dumb",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    # What every x86-64 has: libm rounds differently with fused multiply-add, and ld.so looks into x86-64-v3 folders.
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-FMA,-FMA4",
}
"""The environment of every process, whatever the host's is; ``env`` of a process is added to it."""


class Node:
    """A node of a network that is up.

    Args:
        network: The network.
        name: The node's name.
        kind: ``host``, ``router`` or ``switch``.
        interfaces: Its interfaces, in the order of their names.
    """

    def __init__(self, network: Network, name: str, kind: Kind, interfaces: Sequence[Interface]) -> None:
        self.network = network
        self._session = network.session
        self.name = name
        self.kind = kind
        self.interfaces = tuple(interfaces)
        self.deployed = 0  # LibOSes, so far, and the interfaces that they took
        self.taken: set[str] = set()

    def __repr__(self) -> str:
        return f"<Node {self.name}>"

    def run(
        self,
        argv: Sequence[str] | str,
        *,
        timeout: float | None = 60.0,
        input: bytes | str = b"",  # noqa: A002  # the word of subprocess.run
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        check: bool = True,
    ) -> Completed:
        """Run a command and wait for its end.

        Args:
            argv: The command as a list, or a string that ``shlex`` splits; there is never a shell.
            timeout: Seconds of the network's clock after which its process group is killed; None waits for ever.
            input: What it reads from its stdin.
            env: Variables beside :data:`ENVIRONMENT`.
            cwd: Folder to run in.
            check: Whether anything but exit status 0 raises.

        Raises:
            ProcessFailed: It failed, and ``check`` is set.
            ProcessTimeout: It took too long; ``completed`` of the exception has what it wrote.
            FileNotFoundError: The node has no such program.
        """
        process, fields = self._prepare(argv, input=input, env=env, cwd=cwd, stdin=False)
        done = self._start("run", process, {**fields, "timeout": nanoseconds(timeout)})["done"]
        completed = process.completed()
        if not done:
            raise ProcessTimeout(
                f"{self.name}: {shown(process.argv)}: killed after {timeout:g} s of the network's time"
                f"{last_words(completed)}",
                completed,
            )
        return completed.check() if check else completed

    def spawn(
        self,
        argv: Sequence[str] | str,
        *,
        input: bytes | str = b"",  # noqa: A002  # the word of subprocess.run
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        stdin: bool = False,
    ) -> Process:
        """Start a command and return at once.

        Args:
            argv: As for :meth:`run`.
            input: What it reads from its stdin first.
            env: Variables beside :data:`ENVIRONMENT`.
            cwd: Folder to run in.
            stdin: Whether its stdin stays open for :meth:`Process.send_stdin`.

        Raises:
            FileNotFoundError: The node has no such program.
        """
        process, fields = self._prepare(argv, input=input, env=env, cwd=cwd, stdin=stdin)
        process.pid = self._start("spawn", process, fields)["pid"]
        return process

    def read(self, path: str) -> bytes:
        """Read a file of the node (as its processes see it); raises ``OSError`` as ``open`` does."""
        data: bytes = self._session.call("read", node=self.name, path=path)["data"]
        return data

    def write(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        """Write a file of the node, which makes missing parent folders and touches nothing outside of the network."""
        payload = data.encode() if isinstance(data, str) else bytes(data)
        if len(payload) > FRAME_LIMIT - 65536:
            raise ConfigError(
                f"{self.name}: {path} would get {len(payload)} bytes; {FRAME_LIMIT - 65536} are possible at once"
            )
        self._session.call("write", node=self.name, path=path, data=payload, mode=mode)

    def wait_listen(self, port: int, proto: str = "tcp", *, timeout: float = 10.0) -> None:
        """Wait until a socket listens on (``udp``: is bound to) a port, over IPv4 or IPv6.

        Raises:
            NetworkTimeout: None did in time.
        """
        self._await(f"{proto} socket on port {port}", timeout, what="listen", proto=proto, port=port)

    def wait_route(self, prefix: str, *, timeout: float = 60.0) -> None:
        """Wait until the node's main table has a route to exactly this prefix."""
        self._await(f"route to {prefix}", timeout, what="route", prefix=prefix)

    def wait_file(self, path: str, *, timeout: float = 10.0) -> None:
        """Wait until a file exists in the node."""
        self._await(f"file {path}", timeout, what="file", path=path)

    def wait_address(self, address: str, *, timeout: float = 10.0) -> None:
        """Wait until one of the node's interfaces has an address (without prefix length)."""
        self._await(f"address {address}", timeout, what="address", prefix=address)

    def socket(self, domain: int, type: int, protocol: int = 0) -> RemoteSocket:  # noqa: A002  # the word of socket.socket
        """Make a socket in the node; the numbers are those of the ``socket`` module.

        Raises:
            OSError: The kernel refuses (``EPROTONOSUPPORT``: it has no such protocol).
        """
        ok = self._session.call("socket", node=self.name, domain=int(domain), type=int(type), protocol=protocol)
        return RemoteSocket(self._session, ok["sock"], int(domain), int(type), self.interface_index)

    def address(self, version: int = 4, link: str | None = None) -> str:
        """Give the node's first address of an IP version, on a given link or on any.

        Raises:
            ConfigError: There is none.
        """
        for interface in self.interfaces:
            if link is None or self.network.topology.links[interface.link].name == link:
                found = interface.address(version)
                if found is not None:
                    return found
        names = [str(self.network.topology.links[interface.link].name) for interface in self.interfaces]
        where = "" if link is None else f" on link {link!r}; {near_misses(link, names)}"
        raise ConfigError(f"{self.name} has no IPv{version} address{where}")

    def interface(self, name: str) -> Interface:
        """Give an interface by its name (``eth0``), its link's name, or the name of the node at the other end."""
        links = self.network.topology.links
        for interface in self.interfaces:
            link = links[interface.link]
            if name in (interface.name, link.name, link.ends[1 - interface.end]):
                return interface
        valid = [interface.name for interface in self.interfaces]
        raise ConfigError(f"{self.name} has no interface {name!r}; {near_misses(name, valid) or 'it has none'}")

    def interface_index(self, name: str) -> int:
        """Give the kernel's index of an interface."""
        return int(self.read(f"/sys/class/net/{name}/ifindex"))

    def libos(
        self,
        flavor: str | Library,
        *,
        interface: str | None = None,
        config: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        limit: float = 60.0,
    ) -> LibOS:
        """Start a LibOS in the node and give its engine, whose calls are those of the queue API.

        Args:
            flavor: Its name: one of testbed's own, or of a ``testbed.toml``; or a library that is there already.
            interface: The interface of a LibOS with a stack of its own, as for :meth:`interface`; default the first
                one. The node's kernel loses its IPv4 addresses there.
            config: Values that the configuration's template gets in place of those of the topology.
            env: Variables beside ``LIBOS``, ``CONFIG_PATH`` and the flavor's own.
            limit: Seconds of the network's clock that a call without a time-out may take.

        Raises:
            CapabilityError: The flavor cannot be built on this machine.
            LibOSError: ``demi_init`` failed.
        """
        from testbed.backends.deploy import start  # noqa: PLC0415  # only nodes with a LibOS need it

        return start(self, flavor, interface=interface, config=config, env=env, limit_s=limit)

    def workload(
        self,
        name: str,
        *,
        libos: str | Library,
        server: str | None = None,
        client: str | None = None,
        interface: str | None = None,
        config: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        **options: object,
    ) -> Workload:
        """Start one side of a native workload on a LibOS; a server is ready when this returns.

        Args:
            name: ``tcp-echo``, ``tcp-ping-pong``, ``udp-push-pop``, ...: ``testbed workload --help`` lists them.
            libos: As ``flavor`` of :meth:`libos`.
            server: Be the server at ``ADDRESS:PORT``, or at the pipe of this name.
            client: Be the client of it.
            interface: As of :meth:`libos`, and so ``config`` and ``env``.
            config: See there.
            env: See there.
            options: Further options of the workload, ``_`` for ``-``: ``size=64, clients=32, mode="concurrent"``.

        Raises:
            WorkloadFailed: A server ended before it was ready.
        """
        from testbed.backends import workload  # noqa: PLC0415  # only nodes with a LibOS need it

        return workload.start(
            self,
            name,
            libos=libos,
            server=server,
            client=client,
            interface=interface,
            config=config,
            env=env,
            options=options,
        )

    def inject(self, iface: str, frame: Any, at: float | None = None, *, direction: str = "to") -> None:
        """Put one frame on the wire at an interface.

        Args:
            iface: The interface, as for :meth:`interface`.
            frame: Bytes, or a scapy packet that begins with Ethernet.
            at: Seconds of the network's clock; None is now.
            direction: ``to`` delivers it to this node; ``from`` sends it as if by this node, through the impairments.
        """
        end = self.interface(iface)
        self.network.inject([(at, str(self.network.topology.links[end.link].name), self.name, direction, frame)])

    def _prepare(
        self,
        argv: Sequence[str] | str,
        *,
        input: bytes | str,  # noqa: A002  # the word of subprocess.run
        env: Mapping[str, str] | None,
        cwd: str,
        stdin: bool,
    ) -> tuple[Process, dict[str, Any]]:
        words = shlex.split(argv) if isinstance(argv, str) else [str(word) for word in argv]
        if not words:
            raise ConfigError(f"{self.name}: a command needs at least the name of a program, this one is empty")
        wrapper = self.network.options.wrapper
        if wrapper is not None:
            words, env = self._wrapped(wrapper, words, env)
        number = self.network.next_process()
        process = Process(self._session, number, self.name, words)
        return process, {
            "id": number,
            "node": self.name,
            "argv": words,
            "env": {**ENVIRONMENT, **(env or {})},
            "cwd": cwd,
            "stdin": "pipe" if stdin else "null",
            "input": input.encode() if isinstance(input, str) else bytes(input),
            "output_limit": self.network.options.output_limit_bytes,
        }

    def _wrapped(
        self, wrapper: Wrapper, words: list[str], env: Mapping[str, str] | None
    ) -> tuple[list[str], dict[str, str]]:
        """Put a command behind the wrapper, whose files are put into the network first."""
        for path, file in wrapper.files.items():
            self.install(path, file)
        return [*wrapper.words, *words], {**wrapper.env, **(env or {})}

    def install(self, path: str, file: Path, mode: int = 0o755) -> None:
        """Put a program of the host into the network, once: nodes share it, and it cannot be written while it runs."""
        key = (self._session.place(self.name), path)
        if key in self.network.installed:
            return
        if self._session.reads_host:
            self._copy(path, file, mode)
        else:
            self.write(path, _file_bytes(file, file.stat().st_mtime_ns), mode)
        self.network.installed.add(key)

    def _copy(self, path: str, file: Path, mode: int) -> None:
        """Have a file of the host copied by the far kernel; the record says what it is, not where it was."""
        found = file.stat()
        told = {"data": _file_digest(file, found.st_mtime_ns), "bytes": found.st_size}
        where: dict[str, object] = {"node": self.name, "path": path, "mode": mode}
        host = os.fsencode(file.resolve())
        self._session.call("copy", record={**where, **told}, **where, host=host, size=found.st_size)

    def _start(self, op: str, process: Process, fields: dict[str, Any]) -> dict[str, Any]:
        start_ns = self._session.now_ns
        number: int = fields["id"]
        self._session.recorder.process_started(
            number, self.name, argv=process.argv, env=fields["env"], cwd=fields["cwd"], start_ns=start_ns
        )
        try:
            return self._session.call(op, **fields)
        except OSError as error:
            if not isinstance(error, TestbedError):
                self._session.recorder.process_exited(number, _NOT_STARTED << 8, self._session.now_ns)
            if isinstance(error, FileNotFoundError):
                what = (
                    f"{self.name} has no program {process.argv[0]!r}, or no folder {fields['cwd']!r}: {error.strerror}"
                )
                raise FileNotFoundError(error.errno, what) from error
            raise

    def _await(self, wanted: str, timeout: float, **fields: Any) -> None:
        try:
            self._session.call("await", node=self.name, timeout=nanoseconds(timeout), **fields)
        except NetworkTimeout as error:
            raise NetworkTimeout(f"{self.name}: no {wanted} within {timeout:g} s of the network's time") from error


@functools.lru_cache(maxsize=32)
def _file_digest(file: Path, mtime_ns: int) -> str:  # noqa: ARG001 (part of the key)
    return f"sha256:{sha256_file(file)}"


@functools.lru_cache(maxsize=32)
def _file_bytes(file: Path, mtime_ns: int) -> bytes:  # noqa: ARG001 (part of the key)
    return file.read_bytes()
