# SPDX-License-Identifier: MIT
"""The shell's own commands: each has its words, one line of help, and what it does."""

from __future__ import annotations

import math
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import ConfigError, near_misses
from testbed.reports.topology_text import columns, picture
from testbed.shell import links
from testbed.shell.output import note, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.shell.line import Line
    from testbed.shell.shell import Shell

_HELP_COLUMN = 26
_ANSWER_S = 0.001  # virtual time that a process gets to answer what was sent to it


@dataclass(frozen=True)
class Command:
    """One command of the shell.

    Args:
        words: How it is written.
        what: What it does, in one line.
        run: Does it; gives the exit status.
    """

    words: str
    what: str
    run: Callable[[Shell, Line], int]


def _arguments(line: Line, *, least: int, most: int) -> list[str]:
    """Give the words after the command's name, having counted them."""
    found = [word.text for word in line.words[1:]]
    if not least <= len(found) <= most:
        words = COMMANDS[line.words[0].text].words
        raise ConfigError(f"it is written {words!r}, found {line.text!r}", hint=f"help {line.words[0].text}")
    return found


def _help(_shell: Shell, line: Line) -> int:
    arguments = _arguments(line, least=0, most=1)
    if arguments:
        if arguments[0] not in COMMANDS:
            raise ConfigError(f"no command {arguments[0]!r}; {near_misses(arguments[0], COMMANDS)}")
        found = COMMANDS[arguments[0]]
        say(f"{found.words}\n    {found.what}")
        return 0
    _explain("NODE COMMAND... [&]", "run a command in a node; & puts it into the background")
    for entry in COMMANDS.values():
        _explain(entry.words, entry.what)
    say("Names of nodes among a command's words stand for their addresses. Ctrl-C ends the command, Ctrl-D the shell.")
    return 0


def _explain(words: str, what: str) -> None:
    """Print a command and what it does; what is too long for its column takes a line of its own."""
    if len(words) <= _HELP_COLUMN:
        say(f"{words:{_HELP_COLUMN}}  {what}")
    else:
        say(f"{words}\n{'':{_HELP_COLUMN}}  {what}")


def _time(shell: Shell, line: Line) -> int:
    _arguments(line, least=0, most=0)
    say(f"{shell.network.now():.9f} s")
    return 0


def _sleep(shell: Shell, line: Line) -> int:
    (word,) = _arguments(line, least=1, most=1)
    return shell.sleep_until(shell.network.now() + links.seconds(word))


def _until(shell: Shell, line: Line) -> int:
    (word,) = _arguments(line, least=1, most=1)
    return shell.sleep_until(links.seconds(word))


def _nodes(shell: Shell, line: Line) -> int:
    _arguments(line, least=0, most=0)
    rows = [["NODE", "KIND", "ADDRESSES"]]
    for node in shell.network.nodes.values():
        found = [f"{interface.name} {' '.join(interface.addresses)}".strip() for interface in node.interfaces]
        rows.append([node.name, node.kind, "  ".join(found)])
    say(columns(rows, _width()))
    return 0


def _topology(shell: Shell, line: Line) -> int:
    _arguments(line, least=0, most=0)
    say(picture(shell.network.topology, _width()).rstrip("\n"))
    return 0


def _links(shell: Shell, line: Line) -> int:
    _arguments(line, least=0, most=0)
    return links.table(shell, _width())


def _capture(shell: Shell, line: Line) -> int:
    return links.capture(shell, line, _width())


def _jobs(shell: Shell, line: Line) -> int:
    _arguments(line, least=0, most=0)
    rows = [[f"[{job.number}]", job.state(), job.text] for job in shell.jobs.all]
    if rows:
        say(columns([["", "", ""], *rows], _width()).lstrip("\n"))
    return 0


def _kill(shell: Shell, line: Line) -> int:
    job, *rest = _arguments(line, least=1, most=2)
    found = shell.jobs.find(job)
    name = rest[0].upper().removeprefix("SIG") if rest else "TERM"
    numbers = {entry.name.removeprefix("SIG"): entry.value for entry in signal.Signals}
    number = int(name) if name.isdecimal() else numbers.get(name)
    if number is None or not 1 <= number <= signal.NSIG:
        raise ConfigError(f"no signal {rest[0]!r}; {near_misses(name, numbers)}")
    found.process.kill(number)
    shell.network.sleep(_ANSWER_S)
    return 0


def _wait(shell: Shell, line: Line) -> int:
    arguments = _arguments(line, least=0, most=1)
    wanted = [shell.jobs.find(arguments[0])] if arguments else shell.jobs.all
    return max([shell.wait_job(job) for job in wanted], default=0)


def _send(shell: Shell, line: Line) -> int:
    if len(line.words) < 2:
        _arguments(line, least=1, most=1)
    process = shell.jobs.find(line.words[1].text).process
    if len(line.words) == 2:
        process.send_stdin(b"", eof=True)
    else:
        text = line.words[2].text if len(line.words) == 3 else line.rest(2)
        process.send_stdin(text + "\n")
    shell.network.sleep(_ANSWER_S)
    return 0


def _run(shell: Shell, line: Line) -> int:
    if len(line.words) < 2:
        _arguments(line, least=1, most=1)
    return shell.run(shell.network[line.words[1].text], line, 2)


def _save(shell: Shell, line: Line) -> int:
    (name,) = _arguments(line, least=1, most=1)
    try:
        Path(name).expanduser().write_text("".join(f"{text}\n" for text in shell.done))
    except OSError as error:
        raise ConfigError(f"cannot write {name!r}: {error.strerror}") from error
    note(f"{len(shell.done)} lines in {name}; testbed shell SCENARIO --script {name} does them again")
    return 0


def _exit(_shell: Shell, line: Line) -> int:
    from testbed.shell.shell import Leave  # noqa: PLC0415  # it needs us first

    arguments = _arguments(line, least=0, most=1)
    if arguments and not (arguments[0].isdecimal() and int(arguments[0]) < 256):
        raise ConfigError(f"an exit status is 0 to 255, not {arguments[0]!r}")
    raise Leave(int(arguments[0]) if arguments else 0)


def _width() -> int:
    size = shutil.get_terminal_size((100, 24)).columns
    return size if size > 0 else math.inf  # type: ignore[return-value]


COMMANDS: dict[str, Command] = {
    "topology": Command("topology", "draw the network", _topology),
    "nodes": Command("nodes", "list the nodes with their addresses", _nodes),
    "links": Command("links", "list the links, their state and shape", _links),
    "link": Command(
        "link LINK [up | down | set KEY=VALUE... [toward=NODE]]",
        f"show, cut, join or shape a link; KEY is one of {', '.join(links.KEYS)}",
        links.link,
    ),
    "capture": Command(
        "capture [LINK[.NODE] [FILE]]",
        "list what was captured, show it at a link's end (its first, unless you say which), or copy it as pcapng",
        _capture,
    ),
    "time": Command("time", "tell the network's time", _time),
    "sleep": Command("sleep SECONDS", "let time pass (0.5, 10ms, 2min, 1h)", _sleep),
    "until": Command("until SECONDS", "let time pass until the network's clock shows this", _until),
    "jobs": Command("jobs", "list the commands in the background", _jobs),
    "wait": Command("wait [%N]", "wait for a command in the background, or for all", _wait),
    "kill": Command("kill %N [SIGNAL]", "send a signal to a command in the background", _kill),
    "send": Command("send %N [TEXT]", "write a line to a background command's stdin; without TEXT, its end", _send),
    "run": Command("run NODE COMMAND... [&]", "the long form, for a node whose name is a command of the shell", _run),
    "save": Command("save FILE", "write the lines so far to a script for --script", _save),
    "help": Command("help [COMMAND]", "list the commands, or explain one", _help),
    "exit": Command("exit [STATUS]", "leave the shell, as Ctrl-D does", _exit),
}
