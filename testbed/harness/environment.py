# SPDX-License-Identifier: MIT
"""The facts that a run depends on: this machine, and what was under test."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.harness.records import CaseRecord


def environment(workers: int = 1) -> dict[str, Any]:
    """Give the facts of this machine, for a run of so many cases at a time."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    return {
        "testbed": metadata.version("testbed"),
        "python": platform.python_version(),
        "pytest": metadata.version("pytest"),
        "machine": platform.machine(),
        "host_kernel": platform.release(),
        "host_system": release.get("PRETTY_NAME", platform.system()),
        "cpus": len(os.sched_getaffinity(0)),
        "root": os.geteuid() == 0,
        "workers": workers,
        **under_test(()),
    }


def under_test(cases: Iterable[CaseRecord]) -> dict[str, Any]:
    """Give the kernels and programs that cases ran on."""
    found = list(cases)
    return {
        "kernels": sorted({case.kernel for case in found if case.kernel}),
        "artifacts": {name: sha256 for case in found for name, sha256 in sorted(case.artifacts.items())},
    }
