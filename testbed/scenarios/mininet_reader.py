# SPDX-License-Identifier: MIT
"""Reads a user's Mininet ``Topo`` class as data; runs under the Python that has Mininet, and starts no Mininet.

``python mininet_reader.py FILE NAME JSON`` with the constructor's words as ``[[positional], {named}]`` prints one line
of JSON: ``nodes`` (name, switch, router, opts; classes: Mininet's that its ``cls`` is one of, the nearest first),
``links`` (ends, opts) in the order in which they were added, ``name``; or ``error`` (``file``, ``name``, ``kind``,
``build``) with ``text`` and the names that would be ``valid``.
What the user's file prints goes to stderr. It imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

from mininet.topo import Topo

_PLAIN = (str, int, float, bool, type(None))


class Refused(Exception):  # noqa: N818  # says what happened
    """What was asked for cannot be read: the word of the error, its text, and the names that would be valid."""

    def __init__(self, error: str, text: str, valid: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.answer = {"error": error, "text": text, "valid": list(valid)}


def load(file: str) -> dict[str, Any]:
    """Execute the user's file and give its names."""
    sys.path.insert(0, str(Path(file).resolve().parent))
    try:
        return runpy.run_path(file)
    except (Exception, SystemExit) as error:  # it is the user's: whatever it raises is to be shown
        raise Refused("file", last_words(error, file)) from error


def find(names: dict[str, Any], wanted: str) -> Any:
    """Give the class, or the entry of ``topos`` (what ``mn --custom`` reads), that is meant."""
    given = names.get("topos")
    entries = given if isinstance(given, dict) else {}
    own = {
        name: value
        for name, value in names.items()
        if inspect.isclass(value) and issubclass(value, Topo) and value.__module__ == "<run_path>"
    }
    choices = {**own, **entries}
    if not wanted and len(own or choices) == 1:
        return next(iter((own or choices).values()))
    if not wanted:
        raise Refused("name", "", tuple(choices))
    if wanted in choices:
        return choices[wanted]
    if wanted in names:
        if inspect.isclass(names[wanted]) and issubclass(names[wanted], Topo):
            return names[wanted]  # one of Mininet's own that the file imports
        raise Refused("kind", type(names[wanted]).__name__, tuple(choices))
    raise Refused("name", wanted, tuple(choices))


def read(maker: Any, file: str, words: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """Make the topology and give its data."""
    added: list[tuple[str, str, Any]] = []
    original = Topo.addLink

    def add_link(self: Any, node1: str, node2: str, *args: Any, **opts: Any) -> Any:
        key = original(self, node1, node2, *args, **opts)
        added.append((node1, node2, key))
        return key

    Topo.addLink = add_link  # the graph forgets the order, in which interfaces are numbered
    try:
        topo = maker(*words, **named)
    except Exception as error:  # it is the user's: whatever it raises is to be shown
        raise Refused("build", last_words(error, file)) from error
    if not isinstance(topo, Topo):
        raise Refused("kind", type(topo).__name__)
    nodes = [
        {
            "name": name,
            "switch": topo.isSwitch(name),
            "router": forwards(info.get("cls")),
            "classes": lineage(info.get("cls")),
            "opts": plain(info),
        }
        for name in topo.nodes(sort=False)
        for info in [unwrapped(topo.nodeInfo(name))]
    ]
    links = [{"ends": [a, b], "opts": plain(topo.g.edge[a][b][key])} for a, b, key in added]
    return {"name": type(topo).__name__, "nodes": nodes, "links": links}


def forwards(cls: Any) -> bool:
    """Say whether a class of nodes is a router: by its name, or as it switches forwarding on."""
    if not inspect.isclass(cls) or cls.__module__.startswith("mininet."):
        return False
    source = ""
    with contextlib.suppress(OSError, TypeError):
        source = inspect.getsource(cls)
    return "router" in cls.__name__.lower() or "ip_forward" in source


def unwrapped(info: dict[str, Any]) -> dict[str, Any]:
    """Give a node's options, with those of the ``functools.partial`` that its class may be (as ``mn`` makes them)."""
    cls = info.get("cls")
    return {**cls.keywords, **info, "cls": cls.func} if isinstance(cls, functools.partial) else info


def lineage(cls: Any) -> list[str]:
    """Give the names of Mininet's classes that a class of nodes is or descends from, the nearest first."""
    found = inspect.getmro(cls) if inspect.isclass(cls) else ()
    return [each.__name__ for each in found if each.__module__.startswith("mininet.")]


def plain(opts: Any) -> Any:
    """Give options as JSON; a class by its name, another object by its text."""
    if isinstance(opts, dict):
        return {str(key): plain(value) for key, value in opts.items()}
    if isinstance(opts, list | tuple):
        return [plain(value) for value in opts]
    if isinstance(opts, _PLAIN):
        return opts
    return opts.__name__ if inspect.isclass(opts) else str(opts)


def last_words(error: BaseException, file: str) -> str:
    """Give an error with its line in the user's file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == Path(file)]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {error}"


def main() -> None:
    """Answer on stdout; what the user's file prints goes elsewhere."""
    file, wanted, arguments = sys.argv[1:]
    words, named = json.loads(arguments)
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = read(find(load(file), wanted), file, words, named)
        except Refused as refused:
            answer = refused.answer
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
