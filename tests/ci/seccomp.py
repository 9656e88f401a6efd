# SPDX-License-Identifier: MIT
"""A filter of system calls as containers have it: what Docker's default profile refuses to a process without privilege.

Source: Docker's documentation, "Seccomp security profiles for Docker", and the profile it names; seccomp(2), the
kernel's Documentation/userspace-api/seccomp_filter.rst, linux/bpf_common.h.
"""

from __future__ import annotations

import errno
import re
import struct
from functools import cache
from pathlib import Path

_HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_X86_64 = 0xC000_003E
_NEW_NAMESPACES = 0x7E02_0000  # the flags of clone(2) that make namespaces
_PERSONALITIES = (0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF)
DENIED = (
    *("acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module", "finit_module"),
    *("fsconfig", "fsmount", "fsopen", "fspick", "get_mempolicy", "init_module", "io_uring_enter"),
    *("io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl"),
    *("lookup_dcookie", "mbind", "mount", "mount_setattr", "move_mount", "move_pages", "name_to_handle_at"),
    *("open_by_handle_at", "open_tree", "perf_event_open", "pivot_root", "quotactl", "reboot", "request_key"),
    *("set_mempolicy", "setdomainname", "sethostname", "setns", "settimeofday", "swapoff", "swapon", "sysfs"),
    *("syslog", "umount2", "unshare", "uselib", "userfaultfd", "ustat", "vhangup"),
)


@cache
def numbers() -> dict[str, int]:
    """Give the number of each system call of x86-64, from the C library's header."""
    found = re.findall(r"#define __NR_(\w+) (\d+)", _HEADER.read_text())
    return {name: int(number) for name, number in found}


def docker(*more: str) -> bytes:
    """Give the filter, as an array of ``struct sock_filter``.

    Args:
        more: System calls that are refused, too, such as ``ptrace``.
    """
    program = [_op(_LOAD, _ARCH), _op(_JUMP_EQUAL, _X86_64, yes=1), _op(_RETURN, _KILL), _op(_LOAD, _NUMBER)]
    for name in (*DENIED, *more):
        program += [_op(_JUMP_EQUAL, numbers()[name], no=1), _op(_RETURN, _ERRNO | errno.EPERM)]
    program += [_op(_JUMP_EQUAL, numbers()["clone3"], no=1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    refuse_new = [_op(_LOAD, _ARGUMENT), _op(_JUMP_SET, _NEW_NAMESPACES, no=1), _op(_RETURN, _ERRNO | errno.EPERM)]
    program += [_op(_JUMP_EQUAL, numbers()["clone"], no=len(refuse_new)), *refuse_new, _op(_LOAD, _NUMBER)]
    known = [
        instruction for value in _PERSONALITIES for instruction in (_op(_JUMP_EQUAL, value, no=1), _op(_RETURN, _ALLOW))
    ]
    refuse_other = [_op(_LOAD, _ARGUMENT), *known, _op(_RETURN, _ERRNO | errno.EPERM)]
    program += [_op(_JUMP_EQUAL, numbers()["personality"], no=len(refuse_other)), *refuse_other]
    return b"".join([*program, _op(_RETURN, _ALLOW)])


def _op(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
