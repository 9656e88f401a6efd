# SPDX-License-Identifier: MIT
"""A client of the agent's protocol as small as can be: tests of the agent do not lean on the harness's own client."""

from __future__ import annotations

import itertools
import socket
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Message = dict[str, Any]
SECOND = 1_000_000_000


class AgentError(Exception):
    """The ``err`` of a reply."""

    def __init__(self, err: Message) -> None:
        super().__init__(f"{err['kind']}: {err['what']}")
        self.kind: str = err["kind"]
        self.what: str = err["what"]
        self.errno: int | None = err["errno"]


class Agent:
    """One running agent and the channel to it."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self.process = process
        self.sock = sock
        self.events: list[Message] = []
        self.now = -1
        self.ids = itertools.count(1)
        self._buffer = b""

    @classmethod
    def start(cls, binary: Path, *arguments: str, prefix: Sequence[str] = ()) -> Agent:
        """Start ``agent netns`` on a channel."""
        ours, theirs = socket.socketpair()
        ours.settimeout(60)
        argv = [*prefix, str(binary), "netns", "--fd", str(theirs.fileno()), *arguments]
        process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        return cls(process, ours)

    def close(self) -> int:
        """Close the channel and wait for the agent's end."""
        self.sock.close()
        return self.process.wait(timeout=10)

    def send_raw(self, body: bytes) -> None:
        """Send one frame, whatever is in it."""
        self.sock.sendall(struct.pack("<I", len(body)) + body)

    def reply(self) -> Message:
        """Take events until the reply; the reply's ``ok``."""
        while True:
            message: Message = msgpack.unpackb(self._frame())
            if "event" in message:
                self.events.append(message)
                continue
            self.now = message["now"]
            if "err" in message:
                raise AgentError(message["err"])
            return message["ok"]  # type: ignore[no-any-return]

    def ask(self, op: str, **fields: object) -> Message:
        """Send a request and take its reply."""
        self.send_raw(msgpack.packb({"op": op, **fields}))
        return self.reply()

    def hello(self, shares: Sequence[str] = ()) -> Message:
        """Greet."""
        return self.ask("hello", version=1, shares=list(shares))

    def start_fields(self, node: str, argv: Sequence[str], **changes: object) -> Message:
        """Fields of ``spawn`` and ``run``."""
        return {
            "id": next(self.ids),
            "node": node,
            "argv": list(argv),
            "env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            "cwd": "/",
            "stdin": "null",
            "input": b"",
            "output_limit": 1 << 20,
            **changes,
        }

    def spawn(self, node: str, *argv: str, **changes: object) -> int:
        """Start a program; its id."""
        fields = self.start_fields(node, argv, **changes)
        self.ask("spawn", **fields)
        return int(fields["id"])

    def run(
        self, node: str, *argv: str, timeout: int | None = 60 * SECOND, **changes: object
    ) -> tuple[int, bytes, bytes]:
        """Run to the end: raw wait status, stdout, stderr."""
        fields = self.start_fields(node, argv, **changes)
        self.ask("run", timeout=timeout, **fields)
        return self.result(int(fields["id"]))

    def result(self, number: int) -> tuple[int, bytes, bytes]:
        """What the events so far say of an ended process."""
        exits = [e for e in self.events if e["event"] == "exit" and e["id"] == number]
        assert len(exits) == 1, exits
        return exits[0]["status"], self.output(number, 1), self.output(number, 2)

    def output(self, number: int, stream: int) -> bytes:
        """What came of one stream so far."""
        own = [e for e in self.events if e["event"] == "output" and e["id"] == number]
        return b"".join(e["data"] for e in own if e["stream"] == stream)

    def captures(self) -> dict[tuple[int, int], bytes]:
        """The pcapng bytes of each (link, end)."""
        files: dict[tuple[int, int], bytes] = {}
        for event in self.events:
            if event["event"] == "capture":
                key = (event["link"], event["end"])
                files[key] = files.get(key, b"") + event["data"]
        return files

    def _frame(self) -> bytes:
        (length,) = struct.unpack("<I", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.sock.recv(1 << 20)
            if not data:
                raise ConnectionResetError("the agent closed the channel")
            self._buffer += data
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data


def shape(**changes: object) -> Message:
    """A shape that impairs nothing, but for the changes."""
    clean: Message = {
        "rate_bps": None,
        "delay_ns": 0,
        "jitter_ns": 0,
        "loss": 0.0,
        "reorder": 0.0,
        "duplicate": 0.0,
        "corrupt": 0.0,
        "queue_packets": 1000,
        "seed": 1,
    }
    return {**clean, **changes}


def end(node: str, iface: str, number: int, side: int, *addresses: str) -> Message:
    """One end of link ``number``."""
    mac = f"02:00:00:00:{number:02x}:{side:02x}"
    return {"node": node, "iface": iface, "mac": mac, "mtu": 1500, "addresses": list(addresses)}


def node(name: str, kind: str = "host", **sysctls: str) -> Message:
    return {"name": name, "kind": kind, "sysctls": sysctls}


def pair(
    a_to_b: Message | None = None, b_to_a: Message | None = None, *, capture: Message | None = None, settle: int = 0
) -> Message:
    """h1 - h2, addresses 10.0.0.1 and .2, fd00::1 and ::2."""
    ends = [end("h1", "eth0", 0, 0, "10.0.0.1/24", "fd00::1/64"), end("h2", "eth0", 0, 1, "10.0.0.2/24", "fd00::2/64")]
    link = {
        "name": "h1-h2",
        "ends": ends,
        "shapes": [a_to_b or shape(), b_to_a or shape()],
        "capture": capture is not None,
    }
    return {
        "nodes": [node("h1"), node("h2")],
        "links": [link],
        "routes": [],
        "rules": [],
        "capture": capture,
        "settle": settle,
    }


CAPTURE: Message = {"full_bytes": 1 << 20, "snaplen": 128, "ring_bytes": 2 << 20}


def lan(count: int, *, capture: Message | None = None, settle: int = 0) -> Message:
    """``count`` hosts on one switch."""
    links = []
    for i in range(count):
        name = f"h{i + 1}"
        mac = f"02:00:00:00:{i:02x}:00"
        host = {
            **end(name, "eth0", 0, 0, f"10.0.{(i + 1) // 250}.{(i + 1) % 250 + 1}/16", f"fd00::{i + 1:x}/64"),
            "mac": mac,
        }
        port = {**end("s1", f"eth{i}", 0, 1), "mac": mac[:-1] + "1"}
        ends = [host, port]
        links.append({"name": f"{name}-s1", "ends": ends, "shapes": [shape(), shape()], "capture": capture is not None})
    nodes = [node("s1", "switch"), *(node(f"h{i + 1}") for i in range(count))]
    return {"nodes": nodes, "links": links, "routes": [], "rules": [], "capture": capture, "settle": settle}
