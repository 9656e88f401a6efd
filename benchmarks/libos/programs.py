# SPDX-License-Identifier: MIT
"""The programs in C beside this file, compiled when they are needed."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
from pathlib import Path

from testbed import paths
from testbed.errors import CapabilityError, TestbedError

_HERE = Path(__file__).parent
_INCLUDE = paths.package_dir() / "libos" / "include"
_HEADERS = (_HERE / "rounds.h", _INCLUDE / "demi.h")
# Members of packed structures are only handed on as a whole, or to functions that copy.
_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-Wno-address-of-packed-member", f"-I{_INCLUDE}")


@functools.cache
def program(name: str) -> Path:
    """Compile a program, once for each text of it.

    Args:
        name: Of the source: ``socket_rounds``.

    Raises:
        CapabilityError: There is no gcc.
        TestbedError: It does not compile.
    """
    source = _HERE / f"{name}.c"
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in (source, *_HEADERS))).hexdigest()
    file = paths.cache_dir() / "bench" / f"{name}-{digest[:12]}"
    if file.exists():
        return file
    if shutil.which("gcc") is None:
        raise CapabilityError("the peers in C need gcc (apt-get install -y gcc)")
    file.parent.mkdir(parents=True, exist_ok=True)
    made = file.with_suffix(".new")
    argv = ["gcc", *_FLAGS, "-o", str(made), str(source), "-ldl"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestbedError(f"{source} does not compile:\n{done.stderr[-2000:]}")
    return made.rename(file)
