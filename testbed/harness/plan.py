# SPDX-License-Identifier: MIT
"""From names of suites to a pytest session: what there is, what was meant, and how it is run."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.errors import ConfigError, ExitCode, near_misses
from testbed.harness.identity import DEFAULT_SEED, SUITES, normal_suite_name
from testbed.harness.runfolder import RunFolder
from testbed.harness.session import PLUGIN
from testbed.paths import package_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from testbed.harness.records import RunRecord


class _Witness:
    """Keeps the run of a pytest session that is over."""

    run: RunRecord | None = None
    folder: Path | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Take the run, where one was made."""
        session = config.pluginmanager.get_plugin(PLUGIN)
        if session is not None and session.active:
            self.run, self.folder = session.run, session.folder.path


def suites(root: Path | None = None) -> dict[str, Path]:
    """Find the suites: name to folder, in the order of names.

    Args:
        root: A folder that holds ``suites``; default: the current folder and testbed's own source tree, where a suite
            of the current folder hides one of the same name.
    """
    roots = [root] if root is not None else [package_dir().parent, Path.cwd()]
    found: dict[str, Path] = {}
    for base in roots:
        for folder in sorted((base / SUITES).glob("*/")):
            if next(folder.rglob("test_*.py"), None) is not None:
                found[normal_suite_name(folder.name)] = folder
    return dict(sorted(found.items()))


def resolve(words: Iterable[str], root: Path | None = None) -> list[str]:
    """Turn what a user typed into arguments of pytest.

    Args:
        words: Names of suites (``dce-`` in front and ``_`` for ``-`` are good, too), test files, folders or node ids;
            none = all suites of the current folder, where it has its own, else testbed's.
        root: As of ``suites``.

    Raises:
        ConfigError: A word is none of these; near misses are named.
    """
    known = suites(root)
    chosen = []
    for word in words:
        name = normal_suite_name(word)
        if name in known:
            chosen.append(str(known[name]))
        elif Path(word.partition("::")[0]).exists():
            chosen.append(word)
        elif "/" in word or word.partition("::")[0].endswith(".py"):
            raise ConfigError(f"no suite {word!r}, and no such file or folder", hint="testbed list suites")
        else:
            raise ConfigError(f"no suite {word!r}; {near_misses(name, known)}", hint="testbed list suites")
    # Whoever tests a repository of their own does not mean the suites that testbed comes with.
    every = known if root is not None else suites(Path.cwd()) or known
    chosen = list(dict.fromkeys(chosen)) or [str(folder) for folder in every.values()]
    if not chosen:
        raise ConfigError(f"there is no suite below {(root or Path.cwd()) / SUITES}")
    return chosen


def run_suites(
    names: Sequence[str] = (),
    *,
    workers: int = 0,
    seed: int = DEFAULT_SEED,
    repeat: int | None = None,
    backend: str = "timetravel",
    libos: str = "linux",
    topo: str | None = None,
    switch: str | None = None,
    keep: bool = False,
    run_dir: Path | None = None,
    pytest_args: Sequence[str] = (),
    around: AbstractContextManager[None] | None = None,
    ended: Callable[[RunRecord, Path], None] | None = None,
) -> int:
    """Run suites in this process, by pytest, with testbed's terminal.

    Args:
        names: As of ``resolve``.
        workers: Cases at a time; 0 and 1 = one, without workers.
        seed: Seed of the run.
        repeat: Executions of each case; None = as the backend promises.
        backend: Name of the backend.
        libos: The flavor under test, or the folder of an artifact.
        topo: File with the network of all cases, in place of their own.
        switch: What all switches are, where the backend has a choice; None leaves it to them.
        keep: Keep the records of all executions.
        run_dir: Folder of the run, new or empty; None = a new one below the runs folder.
        pytest_args: Further words of pytest; the last ones, so that they win.
        around: What stands around the tests; left before ``ended``.
        ended: Gets the run and its folder after its end, also where it was interrupted; not where it never began.

    Returns:
        The exit code (``testbed.errors.ExitCode``).

    Raises:
        ConfigError: A name is unknown, or the run folder is not empty.
    """
    paths = resolve(names)
    RunFolder.choose(run_dir)  # refuses before pytest starts, in testbed's own words
    args = ["--testbed-terminal", "--strict-markers", "--seed", str(seed), "--backend", backend, "--libos", libos]
    args += ["--repeat", str(repeat)] if repeat is not None else []
    args += ["--topo", topo] if topo is not None else []
    args += ["--switch", switch] if switch is not None else []
    args += ["--keep"] if keep else []
    args += ["--run-dir", str(run_dir)] if run_dir is not None else []
    args += ["-n", str(workers)] if workers > 1 else []
    args += ["-p", "no:cacheprovider"]
    # Our own modules are imported already, as this is not pytest's first line: no warning, no error of strict suites.
    args += ["-W", "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"]
    os.environ.setdefault("PYTHONHASHSEED", "0")  # of workers; this process has its own from testbed.sh, or by chance
    witness = _Witness()
    with around if around is not None else nullcontext():
        code = int(pytest.main([*args, *pytest_args, *paths], plugins=[witness]))
        sys.stdout.flush()
    if ended is not None and witness.run is not None and witness.folder is not None:
        ended(witness.run, witness.folder)
    return ExitCode(code) if code in set(ExitCode) else code
