# SPDX-License-Identifier: MIT
"""The shell itself: what becomes of one line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from testbed.errors import CapabilityError, ConfigError, ExitCode, TestbedError, near_misses
from testbed.shell import commands, names
from testbed.shell.jobs import Interrupts, Jobs, Steps, await_end, await_job, interrupts
from testbed.shell.line import parse
from testbed.shell.output import note, write

if TYPE_CHECKING:
    from testbed.backends.network import Completed, Network, Node, Process
    from testbed.shell.jobs import Job
    from testbed.shell.line import Line

_SIGNALLED = 128
_NODES_SHOWN = 8


class Leave(Exception):  # noqa: N818  # not an error: the line was ``exit``
    """The shell is to be left.

    Args:
        status: The exit status that was asked for.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Shell:
    """Carries out lines in a network.

    Args:
        network: The network, which is up.
        limit_s: Seconds of the network's time that a command in the foreground may take.
        terminal: Whether a person types the lines.
    """

    def __init__(self, network: Network, *, limit_s: float, terminal: bool) -> None:
        self.network = network
        self.limit_s = limit_s
        self.terminal = terminal
        self.jobs = Jobs()
        self._interrupts = Interrupts()
        self.done: list[str] = []  # the lines so far that did what they should, for `save`

    def execute(self, text: str) -> int:
        """Carry out one line: a command of the shell, or a node and what to run in it.

        Args:
            text: The line; with the lines of its here-document, where it has one.

        Returns:
            Its exit status; 128 + N where signal N ended its process.

        Raises:
            TestbedError: It could not be carried out.
            Leave: The line was ``exit``.
        """
        line = parse(text)
        if not line.words:
            return 0
        try:
            with interrupts() as self._interrupts:
                status = self._dispatch(line)
        except TestbedError:
            if self.network.died is None:
                self.jobs.tell_ends()
            raise
        except OSError as error:  # what the far side's kernel refused
            what = os.strerror(error.errno) if error.errno else str(error)
            raise TestbedError(f"{line.text}: {what}") from error
        self.jobs.tell_ends()
        if self._interrupts.count and not self.terminal:
            raise KeyboardInterrupt  # a script is ended as a whole
        if status and line.may_fail:
            note(f"(exit status {status} ignored)")
            return 0
        if not status and line.words[0].text != "save":
            self.done.append(text.strip())
        return status

    def _dispatch(self, line: Line) -> int:
        first = line.words[0].text
        if first in commands.COMMANDS:
            if line.background:
                raise ConfigError(
                    f"{first} is a command of the shell; only commands in a node can run in the background"
                )
            return commands.COMMANDS[first].run(self, line)
        if first in self.network.nodes:
            return self.run(self.network.nodes[first], line, 1)
        valid = near_misses(first, [*commands.COMMANDS, *self.network.nodes])
        if not valid.startswith("did"):
            nodes = list(self.network.nodes)
            more = f" and {len(nodes) - _NODES_SHOWN} more" if len(nodes) > _NODES_SHOWN else ""
            valid = f"nodes: {', '.join(nodes[:_NODES_SHOWN])}{more}; help lists the commands"
        hint = f"a command in a node begins with its name: {self.first_node()} {line.text}"
        raise ConfigError(f"no command and no node {first!r}; {valid}", hint=hint if len(line.words) > 1 else "help")

    def run(self, node: Node, line: Line, first: int) -> int:
        """Run a command in a node, in the foreground or in the background.

        Args:
            node: The node.
            line: The line.
            first: Index of the word that names the program.
        """
        if len(line.words) <= first:
            raise ConfigError(f"what shall {node.name} run?", hint=f"{node.name} ip address")
        if line.special or line.body:
            argv = ["sh", "-c", names.resolved_text(self.network, node, line, first)]
        else:
            argv = names.resolved(self.network, node, line, first)
        process = self._start(node, argv, line.words[first].text, background=line.background)
        if line.background:
            job = self.jobs.add(process, line.text)
            note(f"[{job.number}] pid {process.pid}: {line.text}")
            return 0
        process.listen(write)
        return self.wait(process)

    def _start(self, node: Node, argv: list[str], program: str, *, background: bool) -> Process:
        try:
            # A server in the background would end at once if it read the end of its stdin.
            return node.spawn(argv, stdin=background)
        except (FileNotFoundError, PermissionError) as error:
            what = f"{node.name} cannot run {program!r}: {os.strerror(error.errno or 0)}"
            raise CapabilityError(
                what, hint=f"nodes see the host's programs: is the package of {program} installed?"
            ) from error

    def wait(self, process: Process) -> int:
        """Wait for a process in the foreground; its exit status, as a shell gives it."""
        return _status(await_end(process, self._steps(), self._interrupts, limit_s=self.limit_s))

    def wait_job(self, job: Job) -> int:
        """Wait for a command in the background; its exit status, or 130 after Ctrl-C."""
        completed = await_job(job, self._steps(), self._interrupts, limit_s=self.limit_s)
        return int(ExitCode.INTERRUPTED) if completed is None else _status(completed)

    def sleep_until(self, time: float) -> int:
        """Let time pass until the network's clock shows this, or until Ctrl-C: then the exit status is 130."""
        if not self.terminal and self.network.virtual_time:
            self.network.sleep_until(time)
            return 0
        steps = self._steps()
        while (now := self.network.now()) < time:
            if self._interrupts.count:
                return int(ExitCode.INTERRUPTED)
            self.network.sleep_until(min(now + steps.next(), time))
        return 0

    def _steps(self) -> Steps:
        return Steps(self.network, adapt=self.terminal)

    def first_node(self) -> str:
        """Name a node for examples: the first host."""
        kinds = [node.name for node in self.network.nodes.values() if node.kind == "host"]
        return kinds[0] if kinds else next(iter(self.network.nodes))


def _status(completed: Completed) -> int:
    """Give an exit status as shells do: 128 + N where signal N ended a process."""
    code = completed.returncode
    return code if code >= 0 else _SIGNALLED - code
