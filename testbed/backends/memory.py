# SPDX-License-Identifier: MIT
"""Where a guest's memory lies on the host: a file, unlinked at once, that the guest's processes execute code from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import CapabilityError
from testbed.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = Path("/dev/shm")  # noqa: S108  # a mount point to look at; what is made there is the kernel's, and unlinked
_MIB = 1 << 20


def memory_folder(scratch: Path, memory_mib: int) -> Path:
    """Choose the first folder that can hold a guest's memory: ``/dev/shm``, the guest's own folder, the cache.

    Containers have a small ``/dev/shm`` from which nothing can be executed (Docker: 64 MiB, ``noexec``); the guest's
    kernel would end at its start, or by SIGBUS when the file grows. The file is sparse, so room is not taken, only
    looked for.

    Args:
        scratch: A folder of the guest's own.
        memory_mib: Size of the guest's memory, MiB.

    Raises:
        CapabilityError: None can hold it; says of each why.
    """
    wrong = []
    for folder in _folders(scratch):
        lack = lacks(folder, memory_mib)
        if lack is None:
            return folder
        wrong.append(f"{folder} {lack}")
    raise CapabilityError(
        f"a guest's memory is a file of {memory_mib} MiB, and no folder can hold it: {'; '.join(wrong)}",
        hint="a container: --shm-size=2g and --tmpfs /dev/shm:exec, or TMPDIR in a roomy folder without noexec",
    )


def _folders(scratch: Path) -> Iterator[Path]:
    yield SHARED
    yield scratch
    yield cache_dir()  # on a disk: the last choice


def lacks(folder: Path, memory_mib: int) -> str | None:
    """Say why a folder cannot hold a guest's memory; None where it can.

    Source: arch/um/os-Linux/mem.c (the kernel maps the file executable), statvfs(3).
    """
    if not folder.is_dir():
        return "is not there"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "cannot be written"
    found = os.statvfs(folder)
    if found.f_flag & os.ST_NOEXEC:
        return "is mounted noexec"
    free_mib = found.f_bavail * found.f_frsize // _MIB
    return f"has {free_mib} MiB free" if free_mib < memory_mib else None
