# SPDX-License-Identifier: MIT
"""Precompiled headers: what nearly every file of the kernel begins with is parsed once, not a thousand times.

Parsing headers is more than half of the time of a build. Only trees that came as a tarball of the distribution are
built so: in a tree that somebody works on, a missing ``#include`` is to be found.

The code that gcc makes from precompiled headers is equivalent and not the same to the bit (its scheduling differs), so
which files are compiled with them must never depend on the order or the history of a build: see ``gcc.sh``, which
decides by the file and its flags.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping

REFERENCE = "kernel/resource.o"
"""The object whose flags count; nothing of it depends on the configuration. It is compiled before there are headers."""

_FIRST = ("linux/compiler-version.h", "linux/kconfig.h", "linux/compiler_types.h")  # kbuild's own -include
_CORE = (
    "linux/module.h", "linux/kernel.h", "linux/init.h", "linux/slab.h", "linux/mm.h", "linux/fs.h", "linux/sched.h",
    "linux/sched/signal.h", "linux/sched/mm.h", "linux/uaccess.h", "linux/interrupt.h", "linux/poll.h",
    "linux/seq_file.h", "linux/proc_fs.h", "linux/device.h", "linux/highmem.h", "linux/kthread.h", "linux/cgroup.h",
    "linux/writeback.h", "linux/security.h", "linux/file.h", "linux/ptrace.h",
)  # fmt: skip
# Not linux/ethtool.h nor net/flow_offload.h, and so not net/tcp.h: functions in them use KBUILD_MODNAME, which each
# file has its own of.
_NET = (
    "linux/skbuff.h", "linux/netdevice.h", "linux/inetdevice.h", "linux/rtnetlink.h", "net/net_namespace.h",
    "net/netlink.h", "net/sock.h", "net/ip.h", "net/ipv6.h", "net/route.h", "net/ip6_route.h", "net/addrconf.h",
    "net/xfrm.h", "net/udp.h", "net/inet_hashtables.h", "net/ip_tunnels.h", "net/genetlink.h", "net/netns/generic.h",
    "linux/etherdevice.h", "linux/if_vlan.h", "linux/netfilter.h", "linux/audit.h",
)  # fmt: skip
HEADERS = {"core": _CORE, "net": (*_CORE, *_NET)}
"""Each precompiled header and what is in it; ``gcc.sh`` takes ``net`` for the files of networking."""

_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_COMMAND = re.compile(r"(?:saved)?cmd_\S+ := (.*)")


def digest() -> str:
    """Give the SHA-256 of all that decides here how a file is compiled."""
    return hashlib.sha256(_script().read_bytes() + repr((_FIRST, HEADERS)).encode()).hexdigest()


def _folder() -> str:
    """Give the folder's name; with another script or other headers it is another command, and all is compiled again."""
    return f"tb-headers-{digest()[:12]}"


def compiler(build: Path) -> str:
    """Put the compiler that knows of the headers into a build's folder.

    Returns:
        Its name as seen from there.
    """
    for old in build.glob("tb-headers*"):
        if old.name != _folder():
            shutil.rmtree(old)
    folder = build / _folder()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "gcc"
    if not target.exists() or target.read_bytes() != _script().read_bytes():
        target.unlink(missing_ok=True)
        shutil.copyfile(_script(), target)
        target.chmod(0o755)
    return f"./{_folder()}/gcc"


def precompile(build: Path, env: Mapping[str, str]) -> str:
    """Make the headers that are missing or older than anything in them; :data:`REFERENCE` has been compiled.

    Where they do not compile by themselves (a patch may make one need what each file defines), there are none, and all
    files are compiled without.

    Args:
        build: Kbuild's output folder.
        env: The whole environment of the compiler.

    Returns:
        Why there are none, in the compiler's words; empty where there are.

    Raises:
        BuildError: Kbuild left no command for the reference.
    """
    command, flags = _reference(build)
    folder = build / _folder()
    wanted = f"{flags}\n"
    file = folder / "flags"
    same = file.is_file() and file.read_text() == wanted
    stale = [name for name in HEADERS if not same or not _is_fresh(build, name)]
    if not stale:
        return ""
    file.unlink(missing_ok=True)
    running = []
    for name in stale:
        header = f"{_folder()}/{name}.h"
        (build / header).write_text("".join(f"#include <{path}>\n" for path in (*_FIRST, *HEADERS[name])))
        words = [*command, f"-Wp,-MMD,{_folder()}/{name}.d", "-x", "c-header", "-o", f"{header}.gch", header]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(words, cwd=build, env=dict(env), stderr=pipe, text=True))
    failed = [words for process in running for _, words in [process.communicate()] if process.returncode]
    if failed:
        return failed[0].strip()
    for name in stale:
        names = {name for path in _sources(folder, name) for name in _NAME.findall((build / path).read_bytes())}
        (folder / f"{name}.names").write_bytes(b"\n".join(sorted(names)) + b"\n")
    file.write_text(wanted)
    return ""


def _sources(folder: Path, name: str) -> list[str]:
    """Give the files that a precompiled header was made of, as seen from the build's folder."""
    return (folder / f"{name}.d").read_text().replace("\\\n", " ").partition(":")[2].split()


def _is_fresh(build: Path, name: str) -> bool:
    """Say whether a precompiled header is newer than all files that it was made of."""
    folder = build / _folder()
    try:
        made = (folder / f"{name}.h.gch").stat().st_mtime_ns
        return all((build / path).stat().st_mtime_ns < made for path in _sources(folder, name))
    except FileNotFoundError:
        return False


def _reference(build: Path) -> tuple[list[str], str]:
    """Read how kbuild compiled the reference object.

    Returns:
        The command without what is of one file, and its flags as ``gcc.sh`` compares them.

    Raises:
        BuildError: Kbuild left no such command.
    """
    file = build / Path(REFERENCE).parent / f".{Path(REFERENCE).name}.cmd"
    found = _COMMAND.match(file.read_text())
    if found is None or " -c -o " not in found[1]:
        raise BuildError(f"wanted the command of {REFERENCE} in {file}, found {found and found[1]!r}")
    words = iter(shlex.split(found[1].partition(" ; ")[0]))
    command, flags = ["gcc"], []
    while next(words) not in ("gcc", f"./{_folder()}/gcc"):
        pass
    for word in words:
        if word in ("-include", "-o"):
            next(words)
        elif word == "-I":
            command += [word, next(words)]
        elif word.startswith("-I"):
            command.append(word)
        elif not word.startswith(("-DKBUILD_", "-D__KBUILD_MODNAME=", "-Wp,-MMD,")) and not word.endswith(".c"):
            command.append(word)
            flags.append(word)
    return command, " ".join(flags)


def _script() -> Path:
    return Path(str(importlib.resources.files("testbed.libos.linux") / "gcc.sh"))
