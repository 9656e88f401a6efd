# SPDX-License-Identifier: MIT
"""Stopping a network's time in the middle of a case: the operation that would pass a time is asked for in two parts."""

from __future__ import annotations

import errno
import json
import signal
from typing import TYPE_CHECKING, Any

from testbed.agent.protocol import NetworkTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from testbed.backends.session import Session

MARGIN_NS = 20_000
"""What the agent needs to take a request and to answer it, at most (14 us were seen): time never passes the stop."""

_FIRST_STEP_NS = 1_000_000
_ALREADY = frozenset({errno.EALREADY, errno.EINPROGRESS})
# Operations that end at their time-out and can be asked for again: what they wait for is not lost by that.
_BOUNDED = frozenset({"await", "accept", "recv", "send"})


class Stop:
    """Stands around a session's operations, and calls a function once, when the network's clock is at a time.

    The operation that the time falls into is found by the record: operations before it are asked for as they were, so
    up to there nothing differs from the record.

    Args:
        session: The session, whose ``around`` this becomes.
        at_ns: Where to stop, ns of the network's clock; the clock then shows it or up to ``MARGIN_NS`` less.
        commands: Lines of the record's ``commands.jsonl``, from its first.
        stopped: Called there; may use the session.
    """

    def __init__(self, session: Session, at_ns: int, commands: Iterable[str], stopped: Callable[[], None]) -> None:
        self.reached = False
        self._session = session
        self._at_ns = at_ns
        self._ends = [(entry["name"], entry["start_ns"], entry["end_ns"]) for entry in map(json.loads, commands)]
        self._next = next((index for index, end in enumerate(self._ends) if end[1] >= session.now_ns), len(self._ends))
        self._stopped = stopped
        session.around = self

    def __call__(self, op: str, record: Mapping[str, object] | None, fields: Mapping[str, object]) -> dict[str, Any]:
        """Ask for an operation; in two parts, with the stop between them, where it would pass the time."""
        if self.reached or not self._passes(op):
            return self._session.ask(op, record, fields)
        return self._split(op, record, dict(fields))

    def _passes(self, op: str) -> bool:
        """Say whether an operation ends after the time; where the record knows no such operation, it might."""
        now_ns = self._session.now_ns
        if now_ns + MARGIN_NS >= self._at_ns:
            return True
        index, self._next = self._next, self._next + 1
        if index < len(self._ends) and self._ends[index][:2] == (op, now_ns):
            return bool(self._ends[index][2] > self._at_ns - MARGIN_NS)
        return True

    def _split(self, op: str, record: Mapping[str, object] | None, fields: dict[str, Any]) -> dict[str, Any]:
        session, left_ns = self._session, max(self._at_ns - self._session.now_ns - MARGIN_NS, 0)
        match op:
            case "sleep" if fields["until"] >= self._at_ns - MARGIN_NS:
                self._arrive()
                return session.ask(op, record, fields)
            case "run":
                return self._run(fields)
            case "wait":
                return self._wait(fields)
            case "connect":
                return self._connect(record, fields)
            case _ if op in _BOUNDED and _longer(fields["timeout"], left_ns):
                return self._bounded(op, record, fields, left_ns)
            case _:
                if op not in _BOUNDED and op != "sleep":  # it takes microseconds: stop before it
                    self._arrive()
                return session.ask(op, record, fields)

    def _arrive(self) -> None:
        """Let time pass up to the stop, and call."""
        if self._session.now_ns < self._at_ns - MARGIN_NS:
            self._session.ask("sleep", None, {"until": self._at_ns - MARGIN_NS})
        self.reached = True
        self._stopped()

    def _run(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Run a command as a start and a wait; at its time-out it is killed with its group, as the agent does."""
        timeout = fields.pop("timeout")
        number = fields["id"]
        self._session.ask("spawn", None, fields)
        done = self._wait({"ids": [number], "all": True, "timeout": timeout})["done"]
        if number not in done:
            self._session.ask("kill", None, {"id": number, "signal": int(signal.SIGKILL), "group": True})
            self._session.ask("wait", None, {"ids": [number], "all": True, "timeout": None})
        return {"done": number in done}

    def _wait(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Wait for processes up to the stop, then for the rest."""
        begin_ns, timeout = self._session.now_ns, fields["timeout"]
        left_ns = max(self._at_ns - begin_ns - MARGIN_NS, 0)
        if not _longer(timeout, left_ns):
            return self._session.ask("wait", None, fields)
        first = self._session.ask("wait", None, {**fields, "timeout": left_ns})["done"]
        if set(first) >= set(fields["ids"]) or (first and not fields["all"]):
            return {"done": first}
        self._arrive()
        rest = self._rest(timeout, begin_ns)
        again = [number for number in fields["ids"] if number not in first]
        second = self._session.ask("wait", None, {**fields, "ids": again, "timeout": rest})["done"]
        return {"done": [*first, *second]}

    def _bounded(
        self, op: str, record: Mapping[str, object] | None, fields: dict[str, Any], left_ns: int
    ) -> dict[str, Any]:
        """Ask with a time-out that ends at the stop, then for the rest of its own."""
        begin_ns = self._session.now_ns
        try:
            return self._session.ask(op, record, {**fields, "timeout": left_ns})
        except NetworkTimeout:
            self._arrive()
        return self._session.ask(op, record, {**fields, "timeout": self._rest(fields["timeout"], begin_ns)})

    def _connect(self, record: Mapping[str, object] | None, fields: dict[str, Any]) -> dict[str, Any]:
        """Connect, which goes on in the kernel during the stop; then look again in growing steps whether it has."""
        begin_ns, timeout = self._session.now_ns, fields["timeout"]
        left_ns = max(self._at_ns - begin_ns - MARGIN_NS, 0)
        if not _longer(timeout, left_ns):
            return self._session.ask("connect", record, fields)
        try:
            return self._session.ask("connect", record, {**fields, "timeout": left_ns})
        except NetworkTimeout:
            self._arrive()
        step_ns = _FIRST_STEP_NS
        while True:
            try:
                return self._session.ask("connect", record, {**fields, "timeout": 0})
            except OSError as error:
                if error.errno == errno.EISCONN:
                    return {}
                if error.errno not in _ALREADY:
                    raise
            rest = self._rest(timeout, begin_ns)
            if rest == 0:
                raise NetworkTimeout(f"connect on socket {fields['sock']}")
            step_ns = min(2 * step_ns, rest) if rest is not None else 2 * step_ns
            self._session.ask("sleep", None, {"until": self._session.now_ns + step_ns})

    def _rest(self, timeout: int | None, begin_ns: int) -> int | None:
        return None if timeout is None else max(begin_ns + timeout - self._session.now_ns, 0)


def _longer(timeout: int | None, left_ns: int) -> bool:
    return timeout is None or timeout > left_ns
