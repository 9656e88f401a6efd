# SPDX-License-Identifier: MIT
"""The programs that build a kernel: which must be there, what they call themselves, where ccache keeps its objects."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed import paths
from testbed.errors import CapabilityError
from testbed.libos.artifacts import sha256_file

# Program to Debian package.
REQUIRED = {
    "gcc": "gcc",
    "ld": "binutils",
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "patch": "patch",
    "tar": "tar",
    "setpriv": "util-linux",
}
_HEADER = ("/usr/include/stdlib.h", "libc6-dev")  # UML links with the host's C library

# What the kernel would take from the clock, the host and the user, fixed: two builds give the same bytes, and the
# random numbers of a guest, which the version string seeds too, do not depend on who built its kernel.
FIXED = {
    "KBUILD_BUILD_TIMESTAMP": "Mon Jan  1 00:00:00 UTC 2024",
    "KBUILD_BUILD_USER": "testbed",
    "KBUILD_BUILD_HOST": "testbed",
    "KBUILD_BUILD_VERSION": "1",
    "SOURCE_DATE_EPOCH": "1704067200",
    "LC_ALL": "C",
    "TZ": "UTC",
}


@dataclass(frozen=True)
class Toolchain:
    """The compiler and linker of a build.

    Args:
        compiler: First line of ``gcc --version``.
        linker: First line of ``ld --version``.
        ccache: Path of ccache, or None; it does not change what is built.
    """

    compiler: str
    linker: str
    ccache: str | None


def find() -> Toolchain:
    """Look for every program that a build needs.

    Raises:
        CapabilityError: Some are missing; all are named, with the packages that have them.
    """
    missing = {program: package for program, package in REQUIRED.items() if shutil.which(program) is None}
    if not Path(_HEADER[0]).exists():
        missing[_HEADER[0]] = _HEADER[1]
    if missing:
        raise CapabilityError(
            f"cannot build a kernel without {', '.join(missing)}",
            hint="apt-get install " + " ".join(sorted(set(missing.values()))),
        )
    return Toolchain(_first_line("gcc"), _first_line("ld"), shutil.which("ccache"))


def environment(tools: Toolchain, tree: Path, *, wrapper: str | None = None) -> dict[str, str]:
    """Give the whole environment of a build: nothing else of the user's can reach it.

    Args:
        tools: From :func:`find`.
        tree: The folder that the build happens in; ccache takes paths below it as relative.
        wrapper: Digest of a script that stands before the compiler, where one does.
    """
    env = {**FIXED, "PATH": os.environ.get("PATH", os.defpath), "HOME": str(tree)}
    if tools.ccache is not None:
        env |= {
            "CCACHE_DIR": str(paths.cache_dir() / "ccache"),
            "CCACHE_BASEDIR": str(tree),
            "CCACHE_NOHASHDIR": "1",
            "CCACHE_DEPEND": "1",  # no preprocessor run before a miss: a quarter of the time of a first build
            "CCACHE_COMPILERCHECK": "content",
            "CCACHE_MAXSIZE": "2G",
        }
        if wrapper is not None:  # its content says too little: which headers there are, and which compiler
            env |= {"CCACHE_COMPILERTYPE": "gcc", "CCACHE_COMPILERCHECK": f"string:{wrapper} {sha256_file(_gcc())}"}
    return env


def _gcc() -> Path:
    return Path(shutil.which("gcc") or "gcc").resolve()


def _first_line(program: str) -> str:
    result = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, env={**os.environ, **FIXED}
    )
    if result.returncode:
        raise CapabilityError(f"{program} --version failed with {result.returncode}: {result.stderr.strip()}")
    return result.stdout.splitlines()[0]
