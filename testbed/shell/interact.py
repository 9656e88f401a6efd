# SPDX-License-Identifier: MIT
"""Where the lines come from: a person at a terminal, a script, or a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from testbed.errors import ConfigError, TestbedError
from testbed.shell.line import here_word
from testbed.shell.output import note
from testbed.shell.shell import Leave, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.backends.network import Network

DEFAULT_LIMIT_S = 86_400.0  # a day: long enough for what ends by itself, and a server is noticed


class LineFailed(TestbedError):  # noqa: N818  # says what happened
    """A line of a script failed; the script ended there.

    Args:
        message: File, line and what happened.
        status: The exit status of the line.
    """

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class LeftWithStatus(LineFailed):
    """The line was ``exit STATUS``: no failure that anybody needs to be told of."""


def interact(network: Network, *, script: TextIO | None = None, limit_s: float = DEFAULT_LIMIT_S) -> None:
    """Let a person or a script work in a network that is up, until the lines end; it stays up.

    Args:
        network: The network; its time passes only while a line is carried out.
        script: Where the lines come from; None is our stdin: with line editing, completion and history at a terminal,
            else as a script.
        limit_s: Seconds of the network's time that one command in the foreground may take.

    Raises:
        LineFailed: A line of a script failed (at a terminal, the next one is asked for instead).
        LeftWithStatus: The last line was ``exit`` with a status other than 0.
        GuestCrashed: The guest died; its log is in the message.
    """
    terminal = script is None and sys.stdin.isatty()
    shell = Shell(network, limit_s=limit_s, terminal=terminal)
    if terminal:
        from testbed.shell.terminal import lines  # noqa: PLC0415  # prompt_toolkit takes a tenth of a second

        _converse(shell, lines(shell))
    else:
        _follow(shell, script or sys.stdin)


def _converse(shell: Shell, lines: Iterator[str]) -> None:
    """Carry out the lines of a person; what fails is told, and the next line is asked for."""
    for line in lines:
        try:
            shell.execute(line)
        except Leave as leave:
            leave_with(leave, "exit")
            return
        except TestbedError as error:
            if shell.network.died is not None:
                raise
            note(f"error: {error}")
        except KeyboardInterrupt:
            note("\nthe network does not answer; leaving")
            return


def _follow(shell: Shell, script: TextIO) -> None:
    """Carry out the lines of a script until one fails."""
    name = {"<stdin>": "stdin"}.get(getattr(script, "name", "script"), getattr(script, "name", "script"))
    for number, line in _whole_lines(script):
        where = f"{name}:{number}"
        try:
            note_line(shell, line)
            status = shell.execute(line)
        except Leave as leave:
            leave_with(leave, f"{where}: exit")
            return
        except TestbedError as error:
            if shell.network.died is not None:
                raise
            if line.lstrip().startswith("-"):
                note(f"{where}: {error} (ignored)")
                continue
            status = int(error.exit_code)
            raise LineFailed(f"{where}: {error.message}", status=status, hint=error.hint) from error
        if status:
            raise LineFailed(
                f"{where}: {line.strip().splitlines()[0]}: exit status {status}",
                status=status,
                hint="a - in front of a line goes on whatever becomes of it",
            )


def leave_with(leave: Leave, what: str) -> None:
    """Leave with the status that was asked for; 0 is nothing to raise."""
    if leave.status:
        raise LeftWithStatus(f"{what} {leave.status}", status=leave.status) from None


def note_line(shell: Shell, line: str) -> None:
    """Show a line of a script with the time at which it begins, on stderr."""
    if line.strip() and not line.lstrip().startswith("#"):
        note(f"{shell.network.now():.6f} s> {line.strip()}")


def _whole_lines(script: TextIO) -> Iterator[tuple[int, str]]:
    """Give each line with its number, joined with what belongs to it: after a backslash, or as a here-document."""
    numbered = enumerate(_decoded(script), start=1)
    for number, text in numbered:
        line = text.rstrip("\n")
        while line.endswith("\\") and not line.endswith("\\\\"):
            line = line[:-1] + next((more.rstrip("\n") for _, more in numbered), "")
        yield number, with_here_document(line, (more.rstrip("\n") for _, more in numbered))


def _decoded(script: TextIO) -> Iterator[str]:
    """Give the lines of a script.

    Raises:
        ConfigError: It is no UTF-8; says where.
    """
    number = 0
    try:
        for number, text in enumerate(script, start=1):  # noqa: B007  # what it was when the reader failed
            text.encode()  # stdin may take bytes that are no text for halves of characters (PEP 383)
            yield text
    except UnicodeError as error:
        name = "stdin" if script is sys.stdin else getattr(script, "name", "script")
        where = f"after line {number}" if isinstance(error, UnicodeDecodeError) else f"in line {number}"
        hint = "lines are text; bytes for a program come from a file: h1 sh -c 'program < FILE'"
        raise ConfigError(f"{name} is no UTF-8, {where}: {getattr(error, 'reason', error)}", hint=hint) from error


def with_here_document(line: str, further: Iterator[str]) -> str:
    """Add the lines of a here-document to the line that begins it, up to the word that ends it."""
    try:
        end = here_word(line)
    except TestbedError:  # it is told when the line is carried out
        return line
    if end is None:
        return line
    found = [line]
    for more in further:
        found.append(more)
        if more.strip() == end:
            break
    return "\n".join(found) + "\n"
