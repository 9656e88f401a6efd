# SPDX-License-Identifier: MIT
"""Programs and libraries on a node, by content: one file per SHA-256, sent only where it is missing."""

from __future__ import annotations

import functools
import importlib.resources
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from testbed.backends.cloudlab.problems import NodeError
from testbed.libos.artifacts import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.backends.cloudlab.facts import Facts
    from testbed.backends.cloudlab.ssh import Connection

SPARE_BYTES = 64 << 20
"""Free space that a node must have beyond what is sent: a network writes to memory only, but logs grow."""
_LEAST_RATE = 1 << 20  # bytes a second below which a transfer is given up


def script() -> Path:
    """Give the script that is run on nodes."""
    return Path(str(importlib.resources.files("testbed.backends.cloudlab") / "node.sh"))


def digest(file: Path) -> str:
    """Give the name of a file in the store: the SHA-256 of its bytes."""
    return _digest(file, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _digest(file: Path, mtime_ns: int) -> str:  # noqa: ARG001 (part of the key)
    return sha256_file(file)


class Store:
    """The folder of one node that testbed keeps its files in.

    Args:
        connection: To the node.
        facts: What is there already, and how much room.
    """

    def __init__(self, connection: Connection, facts: Facts) -> None:
        self._connection = connection
        self.path = store_path(connection.machine.user)
        self._has = dict(facts.has)
        self._free_bytes = facts.free_bytes
        self.sent_bytes = 0

    def missing(self, files: Iterable[Path]) -> list[Path]:
        """Give those files that the node does not have whole."""
        return [file for file in files if self._has.get(digest(file)) != file.stat().st_size]

    def put(self, files: Iterable[Path]) -> None:
        """Send what is missing.

        Raises:
            NodeError: The node has no room for it, refuses it, or the connection was lost.
        """
        missing = self.missing(dict.fromkeys(files))
        wanted = sum(file.stat().st_size for file in missing)
        if missing and wanted + SPARE_BYTES > self._free_bytes:
            raise self._full(f"wanted {_mib(wanted)} and {_mib(SPARE_BYTES)} to spare, found {_mib(self._free_bytes)}")
        for file in missing:
            self._send(file)

    def _send(self, file: Path) -> None:
        name, size = digest(file), file.stat().st_size
        target = f"{self.path}/{name}"
        # A folder of the user, and not of root: SFTP has no sudo.
        part = f"{self.path}/incoming/{name[:16]}.{secrets.token_hex(4)}"
        node = self._connection.machine.name
        try:
            limit_s = self._connection.access.patience_s + size / _LEAST_RATE
            whole = self._connection.put(file, part, target, limit_s=limit_s)
        except asyncssh.SFTPError as error:
            self._connection.run(["rm", "-f", part])
            if isinstance(error, asyncssh.SFTPFailure):  # what OpenSSH's server says of ENOSPC (it has no code for it)
                raise self._full(f"{file.name} ({_mib(size)}): {error.reason}") from error
            raise NodeError(node, "refused file", f"{target}: {error.reason}") from error
        if not whole:
            self._connection.run(["rm", "-f", part])
            raise NodeError(node, "broken transfer", f"{file.name} changed while it was sent")
        self._has[name] = size
        self._free_bytes -= size
        self.sent_bytes += size

    def _full(self, detail: str) -> NodeError:
        hint = f"free some room in {Path(self.path).parent} of the node, or: testbed cloudlab clean"
        return NodeError(self._connection.machine.name, "no space", f"in {self.path}: {detail}", hint=hint)


def store_path(user: str) -> str:
    """Give the store's folder: on the node's own disk, as the home folders of CloudLab are one NFS share for all."""
    return f"/var/tmp/testbed-{user}"  # noqa: S108  # the node checks every file there by its digest, in node.sh's facts


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
