# SPDX-License-Identifier: MIT
"""What a run may leave behind on the host, before and after: processes, namespaces, links, temporary files."""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PATIENCE_S = 20.0
OTHERS = ("tbrig", "bench-")  # of tests that run at the same time: the nodes of tests/cloudlab, the peers of benchmarks
NAMESPACES = ("net", "mnt", "uts", "ipc", "pid", "user")


@dataclass(frozen=True)
class Traces:
    """What belongs to the runs of one workshop, or (links, named namespaces, shared memory) to the whole host.

    Args:
        links: Network interfaces of the host's own namespace.
        named: Named network namespaces (``ip netns``).
        shared: Files below ``/dev/shm``.
        mounts: Mount points of the host.
    """

    links: frozenset[str]
    named: frozenset[str]
    shared: frozenset[str]
    mounts: frozenset[str]


def traces() -> Traces:
    """Look at the host now."""
    return Traces(
        links=frozenset(name for name in _names(Path("/sys/class/net")) if not name.startswith(OTHERS)),
        named=frozenset(name for name in _names(Path("/run/netns")) if not name.startswith(OTHERS)),
        shared=_names(Path("/dev/shm")),
        mounts=frozenset(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
    )


def await_no_more_than(before: Traces) -> dict[str, list[str]]:
    """Wait until all that is new has gone (others work on this host, too); give by kind what is still there."""

    def more() -> dict[str, list[str]]:
        new = {kind: sorted(names - getattr(before, kind)) for kind, names in vars(traces()).items()}
        return {kind: names for kind, names in new.items() if names}

    return _await_nothing(more)


def scratch(env: dict[str, str]) -> list[str]:
    """List the folders of live networks and of their captures in the runtime folder of a workshop."""
    (folder,) = Path(env["XDG_RUNTIME_DIR"]).glob("testbed-*")
    return sorted(path.name for path in folder.glob("*-*-*-*"))


def await_no_scratch(env: dict[str, str]) -> list[str]:
    """Wait until :func:`scratch` has nothing to list; give what is still there after a while."""
    return _await_nothing(lambda: scratch(env))


def members(marker: str) -> dict[int, str]:
    """Find the processes of a workshop: those with ``marker`` in their environment.

    A guest and its stubs have an environment of their own, whose HOME is in the workshop's runtime folder; the
    processes in a namespace are found by their agent's namespaces.

    Returns:
        Process id to the begin of its command line. Dead ones whose parent has not asked for them yet do not count.
    """
    every = {int(entry.name): entry for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    own = {_namespace(Path("/proc/self"), kind) for kind in NAMESPACES}
    found: dict[int, str] = {}
    inside: set[str] = set()
    for pid, entry in every.items():
        with suppress(OSError):
            if pid != os.getpid() and marker.encode() in (entry / "environ").read_bytes():
                found[pid] = _command(entry)
                inside |= {_namespace(entry, kind) for kind in ("net", "pid")} - own
    for pid, entry in every.items():
        with suppress(OSError):
            if pid not in found and {_namespace(entry, kind) for kind in ("net", "pid")} & inside:
                found[pid] = _command(entry)
    return {pid: command for pid, command in found.items() if _alive(pid)}


def await_no_members(marker: str) -> dict[int, str]:
    """Wait until :func:`members` finds none (what cleans up behind a run, lives a little longer); give who still do."""
    return _await_nothing(lambda: members(marker))


def await_end(pids: list[int]) -> list[int]:
    """Wait until these processes have ended; give those that still live after a while."""
    left = []
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([handle], [], [], PATIENCE_S)[0]:
                left.append(pid)
        finally:
            os.close(handle)
    return left


def _await_nothing(look: Callable[[], T]) -> T:
    """Look until nothing is seen any more; give what is still there after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while (left := look()) and time.monotonic() < deadline:
        select.select([], [], [], 0.05)
    return left


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _namespace(process: Path, kind: str) -> str:
    return str((process / "ns" / kind).readlink())


def _command(process: Path) -> str:
    return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120]


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
