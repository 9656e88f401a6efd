# SPDX-License-Identifier: MIT
"""The process that executes a case again: pytest with a plugin that attaches gdb, or stops time and opens the shell.

``python -m testbed.cli.again JSON`` is started by ``testbed replay``: the case needs a process of its own, whose
``PYTHONHASHSEED`` and environment are those of a run.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.backends.timetravel import TimeTravelBackend
from testbed.errors import CapabilityError, TestbedError
from testbed.harness.determinism import command_lines
from testbed.harness.gdb import Debugger
from testbed.harness.stop import Stop

if TYPE_CHECKING:
    from testbed.backends.base import BackendOptions, Recorder
    from testbed.backends.network import Network
    from testbed.backends.session import Session
    from testbed.scenarios.topology import Topology


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What to do; travels as JSON.

    Args:
        words: Of pytest, with the test.
        gdb: Whether gdb is attached to the guest's kernel.
        gdb_script: File of gdb commands, or None for a dialogue.
        until_ns: Where time stops, ns of the network's clock, or None.
        script: File of lines for the shell, or None for a dialogue.
        record: Folder of the record, whose commands say where the stop is.
        mark: File that is made when the stop was reached; JSON with ``error`` where the shell then failed.
    """

    words: list[str]
    gdb: bool
    gdb_script: str | None
    until_ns: int | None
    script: str | None
    record: str
    mark: str


class Backend(TimeTravelBackend):
    """The default backend, that lets somebody look into its guests."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.debugger: Debugger | None = None

    def greet(self, session: Session) -> dict[str, Any]:
        """Attach gdb while the guest stands frozen after the greeting: it has booted, and no network is up."""
        answer = super().greet(session)
        if self._task.gdb:
            script = None if self._task.gdb_script is None else Path(self._task.gdb_script)
            self.debugger = Debugger(_pid(session), script)
        return answer

    def up(
        self,
        topology: Topology,
        *,
        seed: int = 1,
        recorder: Recorder | None = None,
        options: BackendOptions | None = None,
    ) -> Network:
        """Bring a network up whose time will stop."""
        network = super().up(topology, seed=seed, recorder=recorder, options=options)
        if self._task.until_ns is not None:
            lines = command_lines(Path(self._task.record))
            Stop(network.session, self._task.until_ns, lines, lambda: self._stopped(network))
        return network

    def _stopped(self, network: Network) -> None:
        Path(self._task.mark).write_text(json.dumps({}))
        say(f"stopped at t = {network.session.now_ns / 1e9:.9f} s; the end of the shell lets the case go on")
        interact = shell()
        with ExitStack() as stack:
            script = None if self._task.script is None else stack.enter_context(Path(self._task.script).open())
            try:
                interact(network, script=script)
            except TestbedError as error:  # it goes through the test's hands from here on
                Path(self._task.mark).write_text(json.dumps({"error": str(error), "status": int(error.exit_code)}))
                raise


class Plugin:
    """Gives the session its backend."""

    def __init__(self, task: Task) -> None:
        self.backend = Backend(task)

    @pytest.hookimpl(tryfirst=True)
    def pytest_testbed_backend(self, name: str) -> Backend | None:
        """Give ours in place of the default one."""
        return self.backend if name == Backend.name else None


def shell() -> Any:
    """Give the function that opens the shell on a live network.

    Raises:
        CapabilityError: This testbed has none.
    """
    try:
        from testbed.shell import interact
    except ImportError as error:
        raise CapabilityError(f"this testbed has no shell: {error}") from error
    return interact


def say(text: str) -> None:
    """Tell something on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def main(text: str) -> int:
    """Execute a task; pytest's exit code."""
    task = Task(**json.loads(text))
    plugin = Plugin(task)
    try:
        # Our own modules are imported already, as this is not pytest's first line.
        quiet = ["-W", "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"]
        code = int(
            pytest.main([*quiet, *task.words], plugins=[plugin] if task.gdb or task.until_ns is not None else [])
        )
    finally:
        if plugin.backend.debugger is not None:
            plugin.backend.debugger.wait()
    return code


def _pid(session: Session) -> int:
    """Give the guest's kernel, which is what the launcher has become."""
    child = getattr(session.peer, "child", None)
    if child is None:
        raise TestbedError("gdb needs a guest with a process of its own")
    return int(child.pid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
