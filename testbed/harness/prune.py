# SPDX-License-Identifier: MIT
"""Old runs and artifacts: what may go, and why the rest stays. Only what testbed made is ever removed."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import paths
from testbed.errors import ConfigError
from testbed.harness.lookup import run_folders
from testbed.harness.records import CASES, JUNIT_FILE, RUN_FILE, load_run
from testbed.harness.runfolder import LATEST, LOCK, RESERVE, in_use
from testbed.libos.artifacts import FORMAT, KEY_CHARS, LOCKS, MANIFEST, USED, ArtifactStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.harness.records import RunRecord

REPLAYS = "replays"
_GRAVE = ".prune-"
_OURS = frozenset({RUN_FILE, JUNIT_FILE, CASES, LOCK, RESERVE, "report.html"})


@dataclass
class Pruning:
    """What is to be removed, and what stays although it is old enough.

    Args:
        runs: Folders of runs to remove, oldest first.
        artifacts: Folders of artifacts to remove, by name.
        stays: Folders that are not removed, with the reason.
    """

    runs: list[Path] = field(default_factory=list)
    artifacts: list[Path] = field(default_factory=list)
    stays: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Run:
    folder: Path
    record: RunRecord
    started_s: float


def plan(
    now_s: float,
    *,
    keep: int | None = None,
    older_s: float | None = None,
    artifacts: bool = False,
    store: ArtifactStore | None = None,
) -> Pruning:
    """Find what may be removed; removes nothing.

    Args:
        now_s: Wall time, s since 1970.
        keep: So many of the newest runs stay; None is no such rule.
        older_s: What is younger stays, s; None is no such rule. With both, what one of them keeps stays; with
            neither, all runs stay.
        artifacts: Whether to look for artifacts, too: those that no run which stays refers to, and that are older, or
            superseded by a newer one of the same name.
        store: Where artifacts are; default the user's store.
    """
    found = Pruning()
    runs = sorted(_runs(found), key=lambda run: (run.started_s, run.folder.name))
    asked = keep is not None or older_s is not None
    newest = {run.folder for run in runs[len(runs) - min(keep, len(runs)) :]} if keep is not None else set()
    staying = []
    for run in runs:
        young = older_s is not None and now_s - run.started_s < older_s
        if not asked or young or run.folder in newest:
            staying.append(run)
        elif (reason := _guard(run)) is not None:
            staying.append(run)
            found.stays.append((run.folder, reason))
        else:
            found.runs.append(run.folder)
    if artifacts:
        used = {name for run in staying for name in _references(run.record)}
        _plan_artifacts(found, store or ArtifactStore(), used, now_s, older_s)
    return found


def remove_run(folder: Path) -> bool:
    """Remove the folder of a run in one step: it is moved out of sight first; False where a run began to use it."""
    if in_use(folder):
        return False
    grave = Path(tempfile.mkdtemp(prefix=_GRAVE, dir=folder.parent))
    folder.rename(grave / folder.name)
    shutil.rmtree(grave)
    return True


def remove_artifact(folder: Path) -> bool:
    """Remove an artifact in one step; False where a run began to use it, or it is just being built."""
    with _locked(folder) as free:
        if not free:
            return False
        grave = Path(tempfile.mkdtemp(prefix=_GRAVE, dir=folder.parent))
        folder.rename(grave / folder.name)
        (folder.parent / LOCKS / f"{folder.name}{USED}").unlink(missing_ok=True)
    shutil.rmtree(grave)
    return True


def remove_store(root: Path) -> bool:
    """Remove all artifacts and what belongs to them; False where some of them stay, because they are used or built."""
    free = [remove_artifact(folder) for folder in sorted(root.glob("*")) if (folder / MANIFEST).is_file()]
    with ExitStack() as stack:
        locks = [path for path in (root / LOCKS).glob("*") if not path.name.endswith(USED)]
        if not all(free) or not all(_taken(path, stack) for path in locks):
            return False
        shutil.rmtree(root)
    return True


def remove_trees(root: Path) -> bool:
    """Remove the unpacked kernels and their objects; False where a build is in one, and that one stays."""
    free = True
    for lock in sorted(root.glob("*/*/lock")):
        with ExitStack() as stack:
            if _taken(lock, stack):
                shutil.rmtree(lock.parent)
            else:
                free = False
    if free:
        shutil.rmtree(root)
    return free


def _taken(lock: Path, stack: ExitStack) -> bool:
    """Take a lock until the stack ends; False where somebody else has it."""
    try:
        fcntl.flock(stack.enter_context(lock.open()), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def tidy() -> None:
    """Finish what a killed prune began, and let ``latest`` point to the newest run that is left."""
    for root in (paths.runs_dir(), paths.runs_dir() / REPLAYS, ArtifactStore().root):
        for grave in root.glob(f"{_GRAVE}*"):
            shutil.rmtree(grave, ignore_errors=True)
        latest = root / LATEST
        if latest.is_symlink() and not latest.exists():
            latest.unlink()
            left = run_folders(root)
            if left:
                latest.symlink_to(left[-1].name)


def size_bytes(folder: Path) -> int:
    """Add up the files of a folder; links count as themselves."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118  # a run may have 100,000 files
            except FileNotFoundError:
                continue  # a run that goes on
    return total


def _runs(found: Pruning) -> Iterator[_Run]:
    """Read all runs; one that cannot be read stays."""
    root = paths.runs_dir()
    for folder in [*run_folders(root), *run_folders(root / REPLAYS)]:
        try:
            record = load_run(folder)
            started_s = dt.datetime.fromisoformat(record.started).timestamp()
        except (ConfigError, ValueError, TypeError) as error:
            found.stays.append((folder, f"cannot be read: {error}"))
            continue
        yield _Run(folder, record, started_s)


def _guard(run: _Run) -> str | None:
    """Say why a run must not be removed; None where it may."""
    if in_use(run.folder):
        return "a run is using it"
    if run.record.state == "running" and not (run.folder / LOCK).exists():
        return "it has not ended, and nobody knows whether it goes on"
    strange = sorted(path.name for path in run.folder.iterdir() if path.name not in _OURS)
    return f"testbed did not make {strange[0]!r} in it" if strange else None


def _references(run: RunRecord) -> set[str]:
    """Give the artifacts that a run names."""
    return set(run.environment.get("artifacts", {})) | {name for case in run.cases for name in case.artifacts}


def _plan_artifacts(found: Pruning, store: ArtifactStore, used: set[str], now_s: float, older_s: float | None) -> None:
    known: dict[str, list[tuple[float, Path]]] = {}
    for folder in sorted(store.root.glob("*")):
        manifest = _manifest(folder)
        if manifest is not None:
            known.setdefault(str(manifest["name"]), []).append((_last_use_s(folder), folder))
    for versions in known.values():
        *superseded, newest = sorted(versions)
        for last_s, folder in [*superseded, newest]:
            old = older_s is not None and now_s - last_s >= older_s
            if folder.name in used or not (old or (last_s, folder) != newest):
                continue
            with _locked(folder) as free:
                if free:
                    found.artifacts.append(folder)
                else:
                    found.stays.append((folder, "a run is using it, or it is being built"))
    found.artifacts.sort()


def _manifest(folder: Path) -> dict[str, Any] | None:
    """Read the manifest of a published artifact; None where the folder is none of ours."""
    if folder.is_symlink() or folder.name.startswith("."):
        return None
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        ours = manifest["format"] == FORMAT and folder.name == f"{manifest['name']}-{manifest['key'][:KEY_CHARS]}"
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return manifest if ours else None


def _last_use_s(folder: Path) -> float:
    """Give when an artifact was made or last used, s since 1970."""
    marks = [folder / MANIFEST, folder.parent / LOCKS / f"{folder.name}{USED}"]
    return max(mark.stat().st_mtime for mark in marks if mark.exists())


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold an artifact alone: against those who use it and those who would build it; gives False where it is taken."""
    locks = folder.parent / LOCKS
    locks.mkdir(exist_ok=True)
    (locks / folder.name).touch()
    with ExitStack() as stack:
        for name in (folder.name, f"{folder.name}{USED}"):
            if not (locks / name).exists():  # nobody has ever used it; to make the file would say that somebody did
                continue
            lock = stack.enter_context((locks / name).open())
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
        yield True
