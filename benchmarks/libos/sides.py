# SPDX-License-Identifier: MIT
"""A server and a client, each pinned to a CPU of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.libos.programs import program
from benchmarks.libos.wire import ADDRESSES, INTERFACE, PREFIX_BITS
from testbed.cli.workload import LOOPBACK
from testbed.errors import CapabilityError, TestbedError
from testbed.libos.library import find_library

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.libos.wire import Wire

# The first CPU takes most interrupts of a small machine: the side that is timed is on the other one.
CPUS = {"server": 0, "client": 1}
PATIENCE_S = 120
GOODBYE_S = 10
SPIN_US = 20
"""How long a wait polls before it blocks, on both sides of a comparison; the default of the queue layer."""


@dataclass(frozen=True, kw_only=True)
class Party:
    """How both sides of one conversation are started.

    Args:
        name: For messages.
        argv: The command of a side (``server``, ``client``).
        env: Variables of a side, beside those of this process.
        kernel: Whether the kernels have the wire's addresses.
        ends: The server ends by itself, soon after the client.
    """

    name: str
    argv: Mapping[str, Sequence[str]]
    env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kernel: bool = True
    ends: bool = False


def converse(party: Party, wire: Wire | None) -> list[int]:
    """Run both sides once.

    Args:
        party: Who talks.
        wire: Where; None is this machine, without namespaces.

    Returns:
        What the client printed: round trips in ns.

    Raises:
        CapabilityError: There are less than two CPUs.
        TestbedError: A side failed; with its last words.
    """
    if len(os.sched_getaffinity(0)) < len(CPUS):
        raise CapabilityError("each side needs a CPU of its own, and there is only one")
    if wire is not None:
        wire.address(kernel=party.kernel)
    with _server(party, wire) as server:
        assert server.stdout is not None  # a pipe, below
        if server.stdout.readline() != b"ready\n":
            server.kill()
            raise TestbedError(f"{party.name}, server: {server.communicate()[1].decode(errors='replace')[-2000:]}")
        done = subprocess.run(
            _command(party, wire, "client"),
            env=_environment(party, "client"),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    if done.returncode:
        raise TestbedError(f"{party.name}, client, exit code {done.returncode}: {done.stderr[-2000:]}")
    return [int(line) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def _server(party: Party, wire: Wire | None) -> Iterator[subprocess.Popen[bytes]]:
    """Start the server; it is killed at the end, where it does not end by itself, which lets it tidy up."""
    server = subprocess.Popen(
        _command(party, wire, "server"),
        env=_environment(party, "server"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with server:
        try:
            yield server
            if party.ends:
                server.wait(GOODBYE_S)
        except subprocess.TimeoutExpired as error:
            raise TestbedError(f"{party.name}: the server did not end with its client") from error
        finally:
            server.kill()


def _command(party: Party, wire: Wire | None, role: str) -> list[str]:
    enter = [] if wire is None else wire.enter(role)
    return [*enter, "taskset", "-c", str(CPUS[role]), *party.argv[role]]


def _environment(party: Party, role: str) -> dict[str, str]:
    return {**os.environ, **party.env.get(role, {})}


def sockets(kind: str, count: int, *, loopback: bool = False) -> Party:
    """Sockets of the kernel, in C.

    Args:
        kind: ``tcp``, ``udp`` or ``bulk``.
        count: Messages.
        loopback: Over 127.0.0.1, not over the wire.
    """
    place = [_place(loopback=loopback), "7000", str(SPIN_US)]
    words = [str(program("socket_rounds")), kind]
    return Party(
        name=f"sockets, {kind}",
        argv={"server": [*words, "server", *place, str(count)], "client": [*words, "client", *place, str(count)]},
        ends=kind != "udp",
    )


def frames(count: int) -> Party:
    """Raw sockets with a mapped ring, in C, and no stack."""
    words = [str(program("raw_rounds"))]
    rest = [INTERFACE, str(SPIN_US)]
    return Party(
        name="raw frames",
        argv={"server": [*words, "server", *rest], "client": [*words, "client", *rest, str(count)]},
        kernel=False,
    )


def flags(count: int) -> Party:
    """Two flags in shared memory, in C."""
    words, name = str(program("flag_rounds")), f"/bench-{os.getpid()}"
    return Party(name="flags", argv={"server": [words, "server", name], "client": [words, "client", name, str(count)]})


@contextlib.contextmanager
def queues(flavor: str, kind: str, count: int, *, loopback: bool = False) -> Iterator[Party]:
    """Use a LibOS through its C interface.

    Args:
        flavor: Which one.
        kind: ``tcp``, ``udp``, ``pipe`` or ``bulk``.
        count: Messages.
        loopback: Over 127.0.0.1, or a pipe, not over the wire.
    """
    library = find_library(flavor)
    place = [f"bench-{os.getpid()}", "0"] if kind == "pipe" else [_place(loopback=loopback), "7000"]
    words = [str(program("queue_rounds")), str(library.file), kind]
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as folder:
        env = {}
        for role, address in ADDRESSES.items():
            file = Path(folder, f"{role}.yaml")
            file.write_text(library.render(_settings(None if loopback else address)))
            env[role] = {**library.env, "LIBOS": flavor, "CONFIG_PATH": str(file)}
        yield Party(
            name=f"{flavor}, {kind}",
            argv={role: [*words, role, *place, str(count)] for role in CPUS},
            env=env,
            kernel=not library.owns_interface,
            ends=kind != "udp",
        )


def _place(*, loopback: bool) -> str:
    return "127.0.0.1" if loopback else ADDRESSES["server"]


def _settings(address: str | None) -> dict[str, object]:
    """Give the template's values: of a side of the wire, or of this machine where there is no address."""
    own: dict[str, object] = {
        "interface": INTERFACE,
        "address": address,
        "prefix_bits": PREFIX_BITS,
        "mtu": 1500,
        "inetstack": {},
    }
    return {**LOOPBACK, "spin_us": SPIN_US, **(own if address else {})}
