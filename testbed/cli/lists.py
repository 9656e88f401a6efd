# SPDX-License-Identifier: MIT
"""What there is to list: each function gives records for one word of ``testbed list``, importing only what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from testbed.errors import ConfigError, TestbedError

Rows = list[dict[str, Any]]
_SHOWN_SUITES = 3


def artifacts() -> Rows:
    """One row per built thing: name, size in MiB, build time in seconds, folder."""
    from testbed.libos.artifacts import ArtifactStore

    rows = []
    for found in ArtifactStore().all():
        outputs = found.manifest["outputs"].values()
        rows.append(
            {
                "name": found.path.name,
                "mib": f"{sum(entry['bytes'] for entry in outputs) / (1 << 20):.1f}",
                "build_s": f"{found.manifest['build_s']:.1f}",
                "path": str(found.path),
            },
        )
    return rows


def runs() -> Rows:
    """One row per run in the runs folder, newest first: id, when, state, suites, verdicts, size, folder."""
    from testbed.harness.lookup import run_folders
    from testbed.harness.prune import size_bytes
    from testbed.harness.records import load_run

    rows: Rows = []
    for folder in reversed(run_folders()):
        size = size_bytes(folder)
        sizes = {"size": f"{size / (1 << 20):.1f} MiB", "bytes": size, "path": str(folder)}
        try:
            run = load_run(folder)
        except ConfigError as error:
            rows.append({"name": folder.name, "state": f"unreadable: {error.message}", **sizes})
            continue
        counts = Counter(str(case.verdict) for case in run.cases)
        names = list(dict.fromkeys(case.suite for case in run.cases))
        more = f" and {len(names) - _SHOWN_SUITES} more" if len(names) > _SHOWN_SUITES else ""
        rows.append(
            {
                "name": folder.name,
                "when": run.started[:19].replace("T", " "),
                "state": run.state if run.exit_code is None else f"exit {run.exit_code}",
                "what": ",".join(names[:_SHOWN_SUITES]) + more,
                "verdicts": ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()),
                **sizes,
                "started": run.started,
                "exit": "" if run.exit_code is None else run.exit_code,
                "cases": len(run.cases),
                "suites": names,
                "counts": dict(counts),
            },
        )
    return rows


def suites() -> Rows:
    """One row per suite of the current folder and of testbed's own tree: name, number of test files, what it is."""
    from testbed.harness.plan import suites as suite_folders

    rows = []
    for name, folder in suite_folders().items():
        files = sorted(folder.rglob("test_*.py"))
        rows.append({"name": name, "files": len(files), "what": _first_line(folder), "path": str(folder)})
    return rows


def _first_line(folder: Path) -> str:
    """Give the first line of the docstring of a suite's first module that has one."""
    import ast

    for file in sorted((*folder.glob("__init__.py"), *folder.rglob("test_*.py"))):
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        if text:
            return text.splitlines()[0]
    return ""


def cases() -> Rows:
    """One row per case, from pytest's own collection: suite, node id.

    Raises:
        TestbedError: The collection failed; pytest's words are in the message.
    """
    from testbed.harness.plan import suites as suite_folders

    folders = suite_folders()
    # From the root folder, so that a node id has the whole path, wherever a suite lies.
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*argv, "--rootdir=/", "--import-mode=importlib", *map(str, folders.values())],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1"},
    )
    if done.returncode:
        raise TestbedError(f"pytest could not collect the suites:\n{done.stdout}{done.stderr}")
    rows = []
    for nodeid in (text for text in done.stdout.splitlines() if "::" in text):
        name, _, test = nodeid.partition("::")
        file = Path("/", name)
        suite = next((name for name, folder in folders.items() if file.is_relative_to(folder)), "?")
        rows.append({"suite": suite, "case": f"{file.stem}::{test}", "nodeid": f"{file}::{test}"})
    return rows


def scenarios() -> Rows:
    """One row per scenario: name, its own parameters with their defaults, what it is; JSON has all parameters."""
    from testbed.scenarios.registry import scenarios as catalogue
    from testbed.scenarios.shape import SHAPE_FIELDS

    rows = []
    for info in catalogue():
        own = [f"{param.name}={param.default}" for param in info.params if param.name not in SHAPE_FIELDS]
        shaped = ["SHAPE"] if any(param.name in SHAPE_FIELDS for param in info.params) else []
        every = {param.name: {"default": param.default, "what": param.doc.replace("``", "")} for param in info.params}
        rows.append(
            {
                "name": info.name,
                "own": " ".join([*own, *shaped]),
                "what": info.doc.replace("``", ""),
                "parameters": every,
            },
        )
    return rows


def shape_parameters() -> str:
    """Write the parameters of a link's shape with their defaults, as they are typed."""
    from testbed.scenarios.shape import Shape

    return " ".join(f"{name}={value}" for name, value in Shape().to_dict().items())


def flavors() -> Rows:
    """One row per library OS that can be built."""
    from testbed.libos.flavor import flavors as registry

    return [{"name": name, "what": flavor.description} for name, flavor in registry().items()]


def backends() -> Rows:
    """One row per backend: name, what its clock is and whether its bits are the same every time."""
    from testbed.backends.registry import backend
    from testbed.backends.registry import backends as names

    rows = []
    for name in names():
        found = backend(name)
        clock = "virtual time" if found.virtual_time else "real time"
        bits = "the same bits every time" if found.promises_identical_bits else "no promise of identical bits"
        rows.append({"name": name, "what": f"{clock}, {bits}"})
    return rows
