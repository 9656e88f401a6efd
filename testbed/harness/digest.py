# SPDX-License-Identifier: MIT
"""What of an execution is compared: commands, processes, captures, the kernel's log; and what a case leaves out."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COMMANDS = "commands"
KERNEL = "kernel"
PROCESS = "process:"
CAPTURE = "capture:"


def canonical(value: object) -> str:
    """Encode plain data as one line that depends on nothing but the data; bytes become their length and SHA-256."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _plain(value: object) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)


def process_part(argv: Sequence[str], stdout: str, stderr: str, status: str) -> str:
    """Digest one process: argv, SHA-256 of both streams, and its status text (times and exit)."""
    return hashlib.sha256(canonical([list(argv), stdout, stderr, status]).encode()).hexdigest()


def total(parts: Mapping[str, str], excluded: Iterable[str] = ()) -> str:
    """Digest the parts that are not excluded, in the order of their names: 64 hex digits."""
    out = set(excluded)
    lines = "".join(f"{name} {parts[name]}\n" for name in sorted(parts) if name not in out)
    return hashlib.sha256(lines.encode()).hexdigest()


def matching(pattern: str, parts: Iterable[str]) -> list[str]:
    """Give the parts that an exclusion names.

    Args:
        pattern: ``commands``; ``kernel``; ``process:`` with the program, ``NODE-PROGRAM`` or the folder; ``capture:``
            with ``LINK.NODE`` or the link. ``*`` and ``?`` match as in a shell.
        parts: Names of parts: ``commands``, ``kernel``, ``process:NNN-NODE-PROGRAM``, ``capture:LINK.NODE``.

    Returns:
        Those that it matches, in order.
    """
    return [part for part in sorted(parts) if any(fnmatch.fnmatchcase(name, pattern) for name in _names(part))]


def _names(part: str) -> list[str]:
    if part.startswith(PROCESS):
        folder = part.removeprefix(PROCESS)
        _, _, node_program = folder.partition("-")
        return [part, PROCESS + node_program, *(PROCESS + tail for tail in _tails(node_program))]
    if part.startswith(CAPTURE):
        return [part, part.rpartition(".")[0]]
    return [part]


def _tails(text: str) -> list[str]:
    """Give what follows each ``-``: a node's name and a program's may both hold some."""
    words = text.split("-")
    return ["-".join(words[at:]) for at in range(1, len(words))]
