# SPDX-License-Identifier: MIT
"""A backend without a guest: the words of a test are played by Python, in a virtual time of its own.

What the harness is told is exactly what a real backend would tell it.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any

from testbed.errors import DeadlineError, GuestCrashed, InternalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.backends.base import BackendOptions, Recorder

EPOCH_NS = 1_704_067_200 * 10**9
STEP_NS = 1_000_000
HEADER = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
HEADER += struct.pack("<IIHHI", 1, 32, 1, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0) + struct.pack("<I", 32)
ETHERNET = bytes.fromhex("020000000001020000000000") + b"\x88\xb5"
WARNING = """2.100000 4 ------------[ cut here ]------------
2.100001 4 WARNING: CPU: 0 PID: 33 at net/ipv4/tcp.c:2900 tcp_close+0x1/0x2
2.100002 4 Call Trace:
2.100003 4  [<60021231>] ? show_stack+0x141/0x150
2.100004 4 ---[ end trace 0000000000000000 ]---
"""


def frame(time_ns: int, payload: bytes) -> bytes:
    """Make an enhanced packet block of an Ethernet frame of an experimental type."""
    data = ETHERNET + payload
    padded = data + b"\0" * (-len(data) % 4)
    options = struct.pack("<HHIHH", 2, 4, 2, 0, 0)  # epb_flags: outbound
    length = 32 + len(padded) + len(options)
    at = EPOCH_NS + time_ns
    head = struct.pack("<IIIIIII", 6, length, 0, at >> 32, at & 0xFFFFFFFF, len(data), len(data))
    return head + padded + options + struct.pack("<I", length)


class FakeNode:
    """A node that knows a few words."""

    def __init__(self, network: FakeNetwork, name: str) -> None:
        self.network = network
        self.name = name
        self.files: dict[str, bytes] = {}

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file."""
        self.files[path] = data
        self.network.command("write", {"node": self.name, "path": path, "mode": mode})

    def run(self, argv: Sequence[str]) -> str:
        """Run ``echo``, ``cat``, ``clock``, or one of the disasters."""
        network = self.network
        number = network.next_process(self.name, argv)
        out = self.play(list(argv))
        network.recorder.process_output(number, 1, out)
        network.advance()
        network.recorder.process_exited(number, 0, network.now_ns)
        network.send(out)
        network.command("run", {"node": self.name, "argv": list(argv)})
        return out.decode()

    def play(self, argv: list[str]) -> bytes:
        """Play the words of a command."""
        recorder = self.network.recorder
        match argv:
            case ["echo", *words]:
                return " ".join(words).encode()
            case ["cat", path]:
                return self.files[path]
            case ["seed"]:
                return str(self.network.seed).encode()
            case ["flood", count]:
                return b"x" * int(count)
            case ["panic"]:
                self.network.died = GuestCrashed("the guest died: Kernel panic - not syncing: asked for")
                raise self.network.died
            case ["hang"]:
                raise DeadlineError("the guest made no progress for 30 s; it was running 'hang' (pid 33)")
            case ["warn"]:
                recorder.kernel_log(WARNING, 0x200)
            case ["lose"]:
                recorder.drops(3)
            case ["oops"]:
                raise RuntimeError("a bug of the harness")
        return b""


class FakeNetwork:
    """A network of two nodes and a link."""

    epoch_ns = EPOCH_NS
    release = "6.12.0-fake"
    died: GuestCrashed | None = None

    def __init__(self, seed: int, recorder: Recorder) -> None:
        self.artifacts = {"fake-kernel": "f" * 64}
        self.seed = seed
        self.recorder = recorder
        self.now_ns = 0
        self.nodes = {name: FakeNode(self, name) for name in ("h1", "h2")}
        self.processes = 0
        self.interrupted = False
        recorder.capture("h1-h2", "h1", HEADER)

    def __getitem__(self, name: str) -> FakeNode:
        return self.nodes[name]

    def advance(self) -> None:
        """Let a step of time pass."""
        self.now_ns += STEP_NS

    def command(self, name: str, fields: dict[str, object]) -> None:
        """Record a command."""
        self.recorder.command(name, fields, self.now_ns, self.now_ns)

    def next_process(self, node: str, argv: Sequence[str]) -> int:
        """Start a process."""
        self.processes += 1
        self.recorder.process_started(self.processes, node, argv=argv, env={"LANG": "C"}, cwd="/", start_ns=self.now_ns)
        return self.processes

    def send(self, payload: bytes) -> None:
        """Put a frame on the wire."""
        self.recorder.capture("h1-h2", "h1", frame(self.now_ns, payload[:64]))

    def down(self) -> None:
        """Take it down; one that was interrupted complains, as a real one does."""
        if self.interrupted:
            raise InternalError("a request was interrupted and did not end; the network cannot go on")
        if self.died is None:
            self.command("down", {})
            self.recorder.kernel_log("", 0)


class FakeBackend:
    """A backend that promises identical bits, and keeps its promise unless a test breaks it."""

    name = "fake"
    virtual_time = True
    promises_identical_bits = True

    def capabilities(self, options: BackendOptions | None = None) -> frozenset[str]:  # noqa: ARG002
        """Say what it can do."""
        return frozenset({"netem", "mptcp"})

    def own_release(self) -> str | None:
        """Say that testbed built its kernel."""
        return FakeNetwork.release

    def up(self, topology: object, *, seed: int = 1, recorder: Any = None, options: Any = None) -> FakeNetwork:  # noqa: ARG002
        """Bring up the two nodes, whatever the topology."""
        return FakeNetwork(seed, recorder)


class RealTimeBackend(FakeBackend):
    """A backend in real time, that promises nothing."""

    name = "fake-real"
    virtual_time = False
    promises_identical_bits = False

    def own_release(self) -> str | None:
        """Say that its kernel is the host's."""
        return None


def host_clock() -> bytes:
    """Read what no two executions see alike."""
    return str(time.time_ns()).encode()
