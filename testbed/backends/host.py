# SPDX-License-Identifier: MIT
"""What a guest needs of the host beside its programs, looked for before one is started: so that a miss is told plainly.

A guest's kernel would say it, too, but on its console, and as a guest that died.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from pathlib import Path

from testbed.errors import CapabilityError

_PTRACE_CONT = 7  # linux/ptrace.h
_ADDR_NO_RANDOMIZE = 0x004_0000  # linux/personality.h
_PERSONALITY_ASK = -1
_PR_SET_MM, _PR_SET_MM_MAP_SIZE = 35, 15  # linux/prctl.h
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_YAMA_NONE = 3


def check_host() -> None:
    """Refuse a host on which no guest can start.

    Raises:
        CapabilityError: It refuses to let a process be traced, or lets addresses be randomized and not be settled.
    """
    for lack in (tracing_lacks(), addresses_lack()):
        if lack is not None:
            raise lack


@functools.cache
def tracing_lacks() -> CapabilityError | None:
    """Say why processes cannot be traced here; None where they can.

    Source: ptrace(2); seccomp(2); the kernel's Documentation/admin-guide/LSM/Yama.rst.
    """
    if _YAMA.exists() and int(_YAMA.read_text()) >= _YAMA_NONE:
        return CapabilityError(
            "a guest's kernel runs its processes by ptrace(2), which Yama forbids: kernel.yama.ptrace_scope is 3",
            hint="it cannot be lowered without a reboot; set kernel.yama.ptrace_scope=1 in /etc/sysctl.d",
        )
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace(_PTRACE_CONT, 0, None, None)  # there is no process 0: who may trace hears ESRCH
    number = ctypes.get_errno()
    if number == errno.ESRCH:
        return None
    return CapabilityError(
        f"a guest's kernel runs its processes by ptrace(2), which is refused here: {os.strerror(number)}",
        hint="a container: --cap-add SYS_PTRACE, or a seccomp profile that allows ptrace (Docker's does)",
    )


@functools.cache
def addresses_lack() -> CapabilityError | None:
    """Say why a guest's addresses would differ from start to start; None where they will be the same.

    Where ``personality(2)`` is refused (Docker's seccomp profile), the agent settles the kernel's heap by ``prctl(2)``.
    """
    if not randomization_is_forced():
        return None
    size = ctypes.c_uint()
    if ctypes.CDLL(None).prctl(_PR_SET_MM, _PR_SET_MM_MAP_SIZE, ctypes.byref(size), 0, 0) == 0:
        return None
    return CapabilityError(
        "addresses are randomized here and cannot be settled: personality(2) and prctl(PR_SET_MM) are refused",
        hint="a container: --security-opt seccomp=unconfined, or a profile that allows personality",
    )


@functools.cache
def randomization_is_forced() -> bool:
    """Say whether ``personality(ADDR_NO_RANDOMIZE)`` is refused."""
    libc = ctypes.CDLL(None)
    now = libc.personality(_PERSONALITY_ASK)
    refused: bool = libc.personality(now | _ADDR_NO_RANDOMIZE) < 0
    libc.personality(now)  # it holds for programs that this thread executes: there was none
    return refused
