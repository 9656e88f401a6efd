# SPDX-License-Identifier: MIT
"""A case once more, as its record says: the same test, seed, kernel and agent."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import ConfigError
from testbed.harness.determinism import command_lines
from testbed.harness.identity import SUITES, case_id
from testbed.harness.plan import suites
from testbed.harness.recorder import TOPOLOGY_FILE
from testbed.harness.settings import DEFAULT_LIBOS
from testbed.libos.artifacts import ArtifactStore, sha256_file
from testbed.paths import package_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.harness.records import Record, RunRecord

KERNEL_VARIABLE, AGENT_VARIABLE = "TESTBED_LINUX", "TESTBED_AGENT"
_PROGRAMS = {"agent": "rootfs/agent", "kernel": "linux"}
_HINTS = {
    "kernel": "testbed build linux, with the same --source, --config and --patch, gives the same folder again",
    "agent": "testbed make testbin builds the agent of the sources that are here; check out those that made the run",
    "library": "testbed build FLAVOR builds it from the sources that are here; check out those that made the run",
}


@dataclass(frozen=True)
class Replay:
    """What it takes to execute a case again.

    Args:
        root: The folder that the node id is relative to.
        nodeid: As pytest takes it in that folder.
        words: Options of pytest.
        environment: Variables that choose the kernel and the agent.
    """

    root: Path
    nodeid: str
    words: list[str]
    environment: dict[str, str]


def prepare(run: RunRecord, folder: Path, record: Record, record_folder: Path, *, libos: str | None = None) -> Replay:
    """Find all that a record was made with.

    Args:
        run: The run.
        folder: Its folder: the test may lie above it.
        record: The record of one execution.
        record_folder: Its folder.
        libos: Folder of another kernel to execute it on; None is the record's own.

    Raises:
        ConfigError: The test, the kernel or the agent is not here, or not the same.
    """
    if record.suite == "exec" and record.nodeid.startswith("exec::"):
        raise ConfigError(
            "a record of `testbed exec` names no test that could be executed again", hint="testbed exec ..."
        )
    root, nodeid = _test(run, folder, record)
    words = ["--seed", str(run.seed), "--backend", record.backend, "--repeat", "1", "--keep"]
    if libos is None and run.libos != DEFAULT_LIBOS and "/" not in run.libos:  # a flavor by name; a folder is a kernel
        words += ["--libos", run.libos]
    if any(word.partition("=")[0] == "--topo" for word in run.command):
        words += ["--topo", str(record_folder / TOPOLOGY_FILE)]
    words += [] if _captured(record_folder) else ["--no-captures"]
    return Replay(root, nodeid, words, programs(record, libos=libos))


def programs(record: Record, *, libos: str | None = None, store: ArtifactStore | None = None) -> dict[str, str]:
    """Find the kernel and the agent of a record, and check that they are the same to the bit.

    Args:
        record: The record.
        libos: Folder (or program) of another kernel to take; None is the record's own.
        store: Where artifacts are; default the user's store.

    Returns:
        Variables that make a backend take them.

    Raises:
        ConfigError: One is gone or differs; says what builds it.
    """
    root = (store or ArtifactStore()).root
    found = {}
    for name, sha256 in record.artifacts.items() if record.backend == "timetravel" else ():
        what = _kind(name, root)
        if what == "kernel" and libos is not None:
            continue
        program = _program(name, what, root, sha256)
        if what == "agent":
            found[AGENT_VARIABLE] = os.fspath(program.parent if (program.parent / "proc").is_dir() else program)
        elif what == "kernel":
            found[KERNEL_VARIABLE] = os.fspath(program)
    if libos is not None:
        found[KERNEL_VARIABLE] = os.fspath(Path(libos).absolute())
    return found


def _kind(name: str, root: Path) -> str:
    """Say what an artifact of a record is: ``agent``, ``kernel``, or a ``library`` that ran in a node."""
    if name.startswith("agent-") or name.endswith("/agent"):
        return "agent"
    return "kernel" if name.startswith(("linux-", "/")) or (root / name / "linux").is_file() else "library"


def _program(name: str, what: str, root: Path, sha256: str) -> Path:
    """Find the program of an artifact (of a library the file with these bytes) and check it.

    Raises:
        ConfigError: It is gone, or another.
    """
    hint = _HINTS[what]
    if what == "library":
        outputs = sorted(file for file in (root / name).rglob("*") if file.is_file())
        same = (file for file in outputs if sha256_file(file) == sha256)
        program = next(same, outputs[0] if outputs else root / name)
    else:
        program = Path(name) if name.startswith("/") else root / name / _PROGRAMS[what]
    if not program.is_file():
        raise ConfigError(f"the {what} of the record is gone: {program}", hint=hint)
    if sha256_file(program) != sha256:
        wanted = f"wanted SHA-256 {sha256[:12]}..., found {sha256_file(program)[:12]}..."
        raise ConfigError(f"the {what} {program} is not the one of the record: {wanted}", hint=hint)
    return program


def _test(run: RunRecord, folder: Path, record: Record) -> tuple[Path, str]:
    """Find the test: where it stands must give the record's seed, or it is another one.

    Returns:
        The folder that its node id is relative to, and the node id.

    Raises:
        ConfigError: It is nowhere; says where it was looked for.
    """
    name, _, test = record.nodeid.partition("::")
    tried, other = [], None
    for root in _roots(folder, record):
        file = Path(os.path.normpath(root / name))
        if not file.is_file():
            tried.append(str(file))
            continue
        identity = case_id(file, f"{name}::{test}")
        if identity.seed(run.seed) == record.seed:
            return root, f"{name}::{test}"
        other = file
    if other is not None:
        raise ConfigError(f"{other} is not the test of the record: its seed would not be {record.seed}")
    raise ConfigError(
        f"the test {record.nodeid} is not here; looked for {', '.join(tried)}",
        hint="start testbed in the folder that the run was started in",
    )


def _roots(folder: Path, record: Record) -> Iterator[Path]:
    """Give the folders that a node id may be relative to."""
    given = [Path.cwd(), *folder.parents, package_dir().parent]
    suite = suites().get(record.suite)
    if suite is not None and suite.parent.name == SUITES:
        given.append(suite.parent.parent)
    yield from dict.fromkeys(given)


def _captured(folder: Path) -> bool:
    """Say whether the record's network captured frames: its first command tells."""
    first = next(command_lines(folder), None)
    return first is None or json.loads(first)["fields"].get("capture", True) is not None
