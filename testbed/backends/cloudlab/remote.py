# SPDX-License-Identifier: MIT
"""The agent on one machine: started over ssh, joined to the NICs, and ended."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

from testbed.agent.protocol import AgentGone
from testbed.backends.cloudlab import store
from testbed.backends.cloudlab.clock import HIDDEN, MachineRecorder
from testbed.backends.cloudlab.problems import NodeError, NodeLacks
from testbed.backends.session import OutputSink, Session
from testbed.errors import DeadlineError, TestbedError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from testbed.backends.base import Recorder
    from testbed.backends.cloudlab.nodes import ReadyNode
    from testbed.backends.cloudlab.partition import Part
    from testbed.backends.cloudlab.ssh import RemoteProgram

_ASK_S = 0.5
_END_S = 5.0
_BUSY, _NO_NIC = 75, 77  # exit codes of node.sh
_BUFFER = 1 << 20
_FILE_BYTES = 1 << 32


class _Own(OutputSink):
    """Takes the output of a process of our own."""

    def __init__(self) -> None:
        self.words = b""
        self.status: int | None = None

    def take_output(self, stream: int, data: bytes) -> None:
        """Keep it."""
        self.words += data
        del stream

    def take_exit(self, status: int, end_ns: int) -> None:
        """Keep its status."""
        self.status = status
        del end_ns


class _Shifted(OutputSink):
    """Takes the end of a process by the machine's clock, and tells it by the network's."""

    def __init__(self, inner: OutputSink, recorder: MachineRecorder) -> None:
        self._inner = inner
        self._recorder = recorder

    def take_output(self, stream: int, data: bytes) -> None:
        """Hand it on."""
        self._inner.take_output(stream, data)

    def take_exit(self, status: int, end_ns: int) -> None:
        """Hand it on, moved."""
        self._inner.take_exit(status, end_ns + self._recorder.offset_ns)


class _FarAgent:
    """The peer of a session whose agent runs on a node."""

    def __init__(self, node: ReadyNode, program: RemoteProgram, wall_limit_s: float | None) -> None:
        self._node = node
        self._program = program
        self._wall_limit_s = wall_limit_s
        self._born = time.monotonic()

    def watch(self) -> float:
        """Give up where the connection or the agent is gone, or the network lives too long."""
        if not self._node.connection.alive or not self._program.running:
            raise self.gone()
        if self._wall_limit_s is not None and time.monotonic() - self._born >= self._wall_limit_s:
            raise DeadlineError(f"the network has lived for its {self._wall_limit_s:g} s of wall time")
        return _ASK_S

    def gone(self) -> TestbedError:
        """Say whether the connection was lost, or the agent has ended on a node that is there."""
        self._program.wait(2.0)
        if not self._node.connection.alive or self._program.status is None:
            return self._node.connection.lost()
        status, words = self._program.status, self._program.last_words()
        if status == _BUSY:
            hint = "testbed cloudlab run --take-over ends what runs there, and so does testbed cloudlab clean"
            return NodeError(self._node.name, "in use", words, hint=hint)
        return AgentGone(f"node {self._node.name}: the agent ended with status {status}; its last words:\n{words}")

    def close(self) -> None:
        """Wait until the node has undone what was made there: its script does so at the end of the channel."""
        if self._node.connection.alive:
            self._program.wait(_END_S)


class RemoteAgent:
    """The agent of one machine of a network.

    Args:
        node: The machine, with its connection and its store.
        network: A name for the network, unique among all that were ever made there.
        owner: Who we are, for whoever finds the machine in use.
        take_over: Whether what others run there is ended.
        recorder: Who writes down what happens.
        lock: Of the recorder.
        log: File for the agent's stderr.
        wall_limit_s: Wall-clock seconds that the network may live.
    """

    def __init__(
        self,
        node: ReadyNode,
        *,
        network: str,
        owner: str,
        take_over: bool,
        recorder: Recorder,
        lock: threading.Lock,
        log: Path,
        wall_limit_s: float | None,
    ) -> None:
        self.node = node
        self._network = network
        self.recorder = MachineRecorder(recorder, node.name, lock)
        self._hidden = HIDDEN
        here, there = socket.socketpair()
        self._channel = here
        for end in (here, there):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        path = node.store.path
        words = ["sh", f"{path}/{store.digest(store.script())}", "serve", path, network, owner]
        words += ["all" if take_over else "mine" if node.fresh else "none", store.digest(node.agent)]
        node.fresh = False
        try:
            program = node.connection.start(words, there, log)
        except BaseException:
            here.close()
            raise
        peer = _FarAgent(node, program, wall_limit_s)
        self.session = Session(here, peer, self.recorder)  # type: ignore[arg-type]  # it drops what it does not take

    def up(self, part: Part) -> None:
        """Bring the machine's part of the network up, and join it to the NICs.

        Raises:
            NodeLacks: A NIC is busy or too small.
            NodeError: The node refuses; its own words are in the message.
        """
        self.session.ends = [
            (str(link["name"]), (str(link["ends"][0]["node"]), str(link["ends"][1]["node"])))
            for link in part.plan["links"]
        ]
        self.session.ask_quietly("up", plan=part.plan)
        if not part.cables:
            return
        words = []
        for cable in part.cables:
            nic = self.node.facts.nics.get(cable.port.mac)
            if nic is None:
                raise NodeLacks(f"node {self.node.name}: no interface has the address {cable.port.mac}")
            words.append(f"{self._holder(cable.wire)}:{nic.name}:{cable.mtu}")
        path = self.node.store.path
        script = f"{path}/{store.digest(store.script())}"
        done = self.node.connection.run(["sh", script, "wire", path, self._network, *words])
        if done.status == _NO_NIC:
            raise NodeLacks(f"node {self.node.name}: {done.stderr.strip()}")
        if done.status:
            raise NodeError(self.node.name, "refused wire", done.stderr.strip() or f"status {done.status}")

    def _holder(self, wire: str) -> int:
        """Start a process that stands for a bridge's namespace; its pid, as the agent counts."""
        number = self._next_hidden()
        pid: int = self.session.ask_quietly("spawn", **_process(number, wire, ["sleep", "infinity"]))["pid"]
        return pid

    def copy(self, node: str, name: str, path: str, mode: int) -> None:
        """Put a file of the store into the node's view of the machine."""
        number = self._next_hidden()
        argv = ["install", "-D", "-m", f"{mode:o}", f"{self.node.store.path}/{name}", path]
        fields = _process(number, node, argv)
        self.session.ask_quietly("run", **fields, timeout=None)
        done = self.session.processes[number]
        if isinstance(done, _Own) and done.status:
            words = done.words.decode(errors="replace").strip()
            raise NodeError(self.node.name, "refused file", f"{path}: {words or f'status {done.status}'}")

    def follow(self, number: int, sink: OutputSink) -> None:
        """Have the output of a process handed to whom it concerns."""
        self.session.processes[number] = _Shifted(sink, self.recorder)

    def _next_hidden(self) -> int:
        self._hidden += 1
        self.session.processes[self._hidden] = _Own()
        return self._hidden

    def synchronise(self, now: Callable[[], int]) -> None:
        """Find out how far the agent's clock is behind the network's: from the quickest of three questions."""
        best: tuple[int, int] | None = None
        for _ in range(3):
            before = now()
            self.session.ask_quietly("sleep", until=0)
            after = now()
            found = (after - before, (before + after) // 2 - self.session.now_ns)
            best = found if best is None else min(best, found)
        self.recorder.offset_ns = 0 if best is None else best[1]

    def hang_up(self) -> None:
        """Have the agent end, without waiting for it."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the agent; what it and we made there is undone by the node itself."""
        with contextlib.suppress(OSError):
            self.session.close()


def _process(number: int, node: str, argv: list[str]) -> dict[str, Any]:
    return {
        "id": number,
        "node": node,
        "argv": argv,
        "env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        "cwd": "/",
        "stdin": "null",
        "input": b"",
        "output_limit": _FILE_BYTES,  # of every file that it writes
    }
