# SPDX-License-Identifier: MIT
"""Lines that a person types: with editing, completion and a history that lasts."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from testbed.shell.completion import ShellCompleter
from testbed.shell.interact import with_here_document
from testbed.shell.output import note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from testbed.shell.shell import Shell

_HISTORY = "shell-history"


class Terminated(KeyboardInterrupt):
    """SIGTERM: not a key that somebody pressed at the prompt."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def lines(shell: Shell) -> Iterator[str]:
    """Ask for one line after the other until Ctrl-D; Ctrl-C at the prompt takes back what was typed."""
    session: PromptSession[str] = PromptSession(
        history=_history(), completer=ShellCompleter(shell), complete_while_typing=False
    )
    signal.signal(signal.SIGTERM, _terminate)
    note("time stands still while you think; help lists the commands, Tab completes, Ctrl-D leaves")
    while True:
        try:
            line = session.prompt(f"{shell.network.now():.6f} s> ")
            yield with_here_document(line, _further(session))
        except Terminated:
            raise
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _further(session: PromptSession[str]) -> Iterator[str]:
    while True:
        yield session.prompt("> ")


def _history() -> History:
    """Give the history of the user's earlier shells, or one for this shell only where it cannot be kept."""
    folder = Path(platformdirs.user_state_dir("testbed"))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / _HISTORY).touch(mode=0o600)
    except OSError as error:
        print(f"no history is kept: {error}", file=sys.stderr)  # noqa: T201
        return InMemoryHistory()
    return FileHistory(str(folder / _HISTORY))
