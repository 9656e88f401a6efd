# SPDX-License-Identifier: MIT
"""What may come next in a line of the shell."""

from __future__ import annotations

import functools
import os
import signal
from typing import TYPE_CHECKING

from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from testbed.backends.node import ENVIRONMENT
from testbed.scenarios.shape import SHAPE_FIELDS
from testbed.shell.commands import COMMANDS
from testbed.shell.links import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prompt_toolkit.completion import CompleteEvent

    from testbed.shell.shell import Shell

_FILES_AFTER = {"capture": 2, "save": 1}  # the word that names a file of the host


class ShellCompleter(Completer):
    """Completes commands, nodes, programs, links, jobs and files.

    Args:
        shell: Whose network it is.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Give what the word at the cursor may become."""
        before = document.text_before_cursor.lstrip().removeprefix("-").split(" ")
        words, begun = [word for word in before[:-1] if word], before[-1]
        for found in self.candidates(words):
            if found.startswith(begun):
                yield Completion(found, start_position=-len(begun))
        if words and ((self._is_node(words[0]) and len(words) > 1) or _FILES_AFTER.get(words[0]) == len(words)):
            yield from PathCompleter(expanduser=True).get_completions(Document(begun), complete_event)

    def candidates(self, words: list[str]) -> Iterator[str]:
        """Give all words that may follow the given ones.

        Args:
            words: The whole words of the line so far.
        """
        network = self._shell.network
        match words:
            case []:
                yield from (*COMMANDS, *network.nodes)
            case ["help"]:
                yield from COMMANDS
            case ["run"]:
                yield from network.nodes
            case ["run", _] | [_] if words[0] == "run" or self._is_node(words[0]):
                yield from programs()
            case ["link"]:
                yield from network.links
            case ["link", _]:
                yield from ("down", "up", "set")
            case ["link", name, "set", *_]:
                yield from (f"{key}=" for key in (*KEYS, *SHAPE_FIELDS))
                ends = network.links[name].ends if name in network.links else ()
                yield from (f"toward={node}" for node in ends)
            case ["capture"]:
                yield from network.links
                yield from (f"{name}.{end}" for name, link in network.links.items() for end in link.ends)
            case ["kill" | "wait" | "send"]:
                yield from (f"%{job.number}" for job in self._shell.jobs.all)
            case ["kill", _]:
                yield from (entry.name.removeprefix("SIG") for entry in signal.Signals)
            case [first, *_] if self._is_node(first) or first == "run":
                yield from network.nodes

    def _is_node(self, word: str) -> bool:
        return word in self._shell.network.nodes and word not in COMMANDS


@functools.cache
def programs() -> tuple[str, ...]:
    """Give the programs that nodes have: those of the host on the nodes' PATH."""
    found = set()
    for folder in ENVIRONMENT["PATH"].split(":"):
        try:
            found |= {entry.name for entry in os.scandir(folder) if os.access(entry.path, os.X_OK)}
        except OSError:
            continue
    return tuple(sorted(found))
