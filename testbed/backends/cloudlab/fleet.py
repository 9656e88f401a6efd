# SPDX-License-Identifier: MIT
"""One conversation with many agents: each request goes to the machine that it concerns, by the clock of the network."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.agent.protocol import Reply
from testbed.backends.cloudlab.partition import Part, cut
from testbed.backends.session import Session
from testbed.errors import CapabilityError, InternalError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from testbed.backends.base import Recorder
    from testbed.backends.cloudlab.manifest import Manifest
    from testbed.backends.cloudlab.remote import RemoteAgent
    from testbed.backends.scratch import Scratch

_PROGRAM_BYTES = 64 << 10  # from here on an executable file goes through the store of the node
_POLL_NS = 20_000_000


class Fleet(Session):
    """A session whose far side is one agent per machine.

    Args:
        manifest: Which machine has which interface.
        recorder: Who writes down what happens.
        scratch: A folder of the network's own; removed at its end.
    """

    def __init__(self, manifest: Manifest, recorder: Recorder, scratch: Scratch) -> None:
        self.recorder = recorder
        self.now_ns = -1
        self.processes = {}
        self.ends = []
        self.around = None
        self.died: TestbedError | None = None
        self.parts: dict[str, Part] = {}
        self._agents: dict[str, RemoteAgent] = {}
        self._manifest = manifest
        self._scratch = scratch
        self._lock = threading.RLock()
        self.recording = threading.Lock()
        self._broken: TestbedError | None = None
        self._zero_ns = 0
        self._of_process: dict[int, RemoteAgent] = {}
        self._of_socket: dict[int, tuple[RemoteAgent, int]] = {}
        self._sockets = itertools.count(1)

    def add(self, agent: RemoteAgent) -> None:
        """Take the agent of one more machine, before the network comes up."""
        self._agents[agent.node.name] = agent

    def place(self, node: str) -> str:
        """Give the machine whose files a node sees."""
        return node

    def greet(self) -> dict[str, Any]:
        """Greet all agents; what all of them can do is what the network can."""
        answers = self._all(lambda agent: agent.session.hello([agent.node.store.path]))
        releases = sorted({str(answer["release"]) for answer in answers})
        capabilities = frozenset.intersection(*(frozenset(answer["capabilities"]) for answer in answers))
        return {"release": " ".join(releases), "capabilities": sorted(capabilities)}

    def down(self) -> None:
        """Take all parts down at once, then end the agents in any case."""
        try:
            if self._broken is None:
                self.call("down")
        finally:
            self._broken = self._broken or InternalError("the network is down; nothing can be asked of it any more")
            self.close()

    def close(self) -> None:
        """End all agents and wait until their machines are as they were."""
        for agent in self._agents.values():  # no threads: this may be the end of the interpreter
            agent.hang_up()
        for agent in self._agents.values():
            agent.close()
        self._scratch.close()

    def _now(self) -> int:
        return time.monotonic_ns() - self._zero_ns

    def _ask(self, op: str, fields: Mapping[str, object]) -> Reply:
        """Ask whom it concerns; an agent or a connection that is gone ends the network."""
        if self._broken is not None:
            raise self._broken
        given: dict[str, Any] = dict(fields)
        error: Exception | None = None
        ok: dict[str, Any] = {}
        try:
            ok = self._route(op, given)
        except (TestbedError, OSError) as raised:
            self._broken = next(
                (agent.session.died for agent in self._agents.values() if agent.session.died is not None), None
            )
            if self._broken is not None:
                self.died = self._broken
                raise self._broken from raised
            error = raised
        self.now_ns = -1 if not self._zero_ns else self._now()
        return Reply(ok=ok, now_ns=self.now_ns, error=error)

    def _route(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        match op:
            case "up":
                return self._up(fields["plan"])
            case "down" | "flush":
                self._all(lambda agent: agent.session.ask_quietly(op))
                return {}
            case "sleep":
                return self._sleep(fields["until"])
            case "wait":
                return self._wait(fields["ids"], every=fields["all"], timeout=fields["timeout"])
            case "link":
                return self._link(fields["link"], fields["up"], fields["shapes"])
            case "inject":
                return self._inject(fields["frames"])
            case "write" if fields["mode"] & 0o111 and len(fields["data"]) >= _PROGRAM_BYTES:
                return self._program(fields)
        if "node" in fields:
            return self._of_node(op, fields)
        if "sock" in fields:
            return self._of_sock(op, fields)
        agent = self._of_process.get(fields.get("id", -1))
        if agent is None:
            raise InternalError(f"a request {op!r} names no node, process or socket of the network")
        return agent.session.ask_quietly(op, **fields)

    def _all(self, work: Callable[[RemoteAgent], Any], agents: Iterable[RemoteAgent] | None = None) -> list[Any]:
        """Do the same on all machines at once; the first error, in the order of the machines, is raised."""
        chosen = list(self._agents.values() if agents is None else agents)
        with ThreadPoolExecutor(max_workers=max(len(chosen), 1)) as pool:
            futures = [pool.submit(work, agent) for agent in chosen]
        return [future.result() for future in futures]

    def _up(self, plan: dict[str, Any]) -> dict[str, Any]:
        self.parts = cut(plan, self._manifest)
        self._all(lambda agent: agent.up(self.parts[agent.node.name]))
        self._zero_ns = time.monotonic_ns()
        for agent in self._agents.values():
            agent.synchronise(self._now)
        return {}

    def _sleep(self, until: int) -> dict[str, Any]:
        agent = next(iter(self._agents.values()))
        return agent.session.ask_quietly("sleep", until=max(until - agent.recorder.offset_ns, 0))

    def _of_node(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        agent = self._agent(fields["node"])
        if op in ("spawn", "run"):
            number = fields["id"]
            self._of_process[number] = agent
            agent.follow(number, self.processes[number])
        reply = agent.session.ask_quietly(op, **fields)
        return self._numbered(agent, reply)

    def _agent(self, node: str) -> RemoteAgent:
        if node not in self._agents:
            raise CapabilityError(f"{node} is a switch, on this backend the LAN itself: nothing can be asked of it")
        return self._agents[node]

    def _numbered(self, agent: RemoteAgent, reply: dict[str, Any]) -> dict[str, Any]:
        """Give a new socket a number of the network's own."""
        if "sock" not in reply:
            return reply
        number = next(self._sockets)
        self._of_socket[number] = (agent, reply["sock"])
        return {**reply, "sock": number}

    def _of_sock(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        if fields["sock"] not in self._of_socket:
            raise InternalError(f"no open socket {fields['sock']}")
        agent, sock = self._of_socket[fields["sock"]]
        offset = agent.recorder.offset_ns
        if op == "source":
            fields["at"] = [max(at - offset, 0) for at in fields["at"]]
        reply = agent.session.ask_quietly(op, **{**fields, "sock": sock})
        if op == "tally":
            moved = {key: reply[key] + offset for key in ("first", "last") if reply.get(key) is not None}
            return {**reply, **moved}
        if op == "close":
            del self._of_socket[fields["sock"]]
        return self._numbered(agent, reply)

    def _wait(self, ids: list[int], *, every: bool, timeout: int | None) -> dict[str, Any]:
        """Wait for processes: those of one machine there, those of several by looking at each in turn."""
        groups: dict[str, list[int]] = {}
        for number in ids:
            groups.setdefault(self._of_process[number].node.name, []).append(number)
        if len(groups) == 1:
            (name,) = groups
            return self._agents[name].session.ask_quietly("wait", ids=ids, all=every, timeout=timeout)
        until = None if timeout is None else self._now() + timeout
        while True:
            done: list[int] = []
            for name, numbers in groups.items():
                left = _POLL_NS if until is None else max(min(_POLL_NS, until - self._now()), 0)
                session = self._agents[name].session
                done += session.ask_quietly("wait", ids=numbers, all=every, timeout=left)["done"]
            if len(done) == len(ids) or (done and not every) or (until is not None and self._now() >= until):
                return {"done": sorted(done)}

    def _link(self, link: int, up: bool | None, shapes: list[dict[str, Any]] | None) -> dict[str, Any]:  # noqa: FBT001 (a field)
        for name, part in self.parts.items():
            for number, cable in enumerate(part.cables):
                if cable.link == link:
                    near = None if shapes is None else cable.shapes(shapes)
                    self._agents[name].session.ask_quietly("link", link=number, up=up, shapes=near)
        return {}

    def _inject(self, frames: list[list[Any]]) -> dict[str, Any]:
        sorted_out: dict[str, list[list[Any]]] = {}
        for at, link, end, direction, frame in frames:
            name, number, near = self._cable(link, end)
            moved = max(at - self._agents[name].recorder.offset_ns, 0)
            sorted_out.setdefault(name, []).append([moved, number, near, direction, frame])
        for name, mine in sorted_out.items():
            self._agents[name].session.ask_quietly("inject", frames=mine)
        return {}

    def _cable(self, link: int, end: int) -> tuple[str, int, int]:
        """Give the machine, its number of the link and its end, for an end of the topology's link."""
        found = [
            (cable.end != end, name, number)
            for name, part in self.parts.items()
            for number, cable in enumerate(part.cables)
            if cable.link == link
        ]
        if not found:
            raise CapabilityError("a link between switches is one LAN here: nothing can be put on it")
        far, name, number = min(found)
        return name, number, int(far)

    def _program(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Put a program into a node by way of the machine's store, which may have it from an earlier run."""
        agent = self._agent(fields["node"])
        data: bytes = fields["data"]
        file = Path(self._scratch.path) / hashlib.sha256(data).hexdigest()
        if not file.exists():
            file.write_bytes(data)
        agent.node.store.put([file])
        agent.copy(fields["node"], file.name, fields["path"], fields["mode"])
        return {}
