# SPDX-License-Identifier: MIT
"""``testbed make clean``: remove what testbed made, and nothing else."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.output import line, note
from testbed.paths import cache_dir, runs_dir

# What testbed keeps in the cache folder: built things first.
_CACHE = ("artifacts", "linux", "ccache")


def clean(
    *,
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Built kernels, agents and programs too.")] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Artifacts, unpacked kernels and the compiler's cache.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Runs that have not ended, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only print what would be removed.")] = False,
) -> None:
    """Remove the runs below the current folder, and on request the artifacts. Prints what is removed.

    A run is a folder with a run.json in it; anything else in the runs folder stays, and so does a run that has not
    ended (or was killed), unless --all is given.
    """
    from testbed.harness.runfolder import LATEST

    doomed = [path for path in _runs() if every or _ended(path)]
    latest = runs_dir() / LATEST
    links = [latest] if latest.is_symlink() and latest.resolve() in {path.resolve() for path in doomed} else []
    if artifacts or cache:
        names = _CACHE if cache else _CACHE[:1]
        doomed += [cache_dir() / name for name in names if (cache_dir() / name).is_dir()]
    for path in (*doomed, *links):
        if dry_run or _remove(path):
            line(str(path))
        else:
            note(f"stays: {path}: a run or a build is using it")
    if not dry_run and runs_dir().is_dir() and not any(runs_dir().iterdir()):
        runs_dir().rmdir()
    if not doomed:
        note("nothing to remove")


def _runs() -> list[Path]:
    """Find the runs, oldest first."""
    return [file.parent for file in sorted(runs_dir().glob("*/run.json")) if not file.parent.is_symlink()]


def _ended(folder: Path) -> bool:
    """Say whether a run has ended; of one whose file cannot be read nothing is known, so it has not."""
    try:
        state = json.loads((folder / "run.json").read_text(encoding="utf-8"))["state"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return bool(state != "running")


def _remove(path: Path) -> bool:
    """Remove a folder, or a symbolic link but not what it leads to; False where somebody is using what is in it."""
    from testbed.harness.prune import remove_run, remove_store, remove_trees

    if path.is_symlink():
        if path.exists():  # the run that it leads to has stayed
            return False
        path.unlink()
        return True
    if path.parent == runs_dir():
        return remove_run(path)
    if path == cache_dir() / "artifacts":
        return remove_store(path)
    if path == cache_dir() / "linux":
        return remove_trees(path)
    shutil.rmtree(path)
    return True
