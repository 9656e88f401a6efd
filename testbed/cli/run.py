# SPDX-License-Identifier: MIT
"""``testbed run``: run suites or single tests, with any words of pytest after ``--``."""

from collections.abc import Sequence

import typer

from testbed.cli import options
from testbed.cli.lists import suite_folders
from testbed.cli.names import suite
from testbed.errors import ConfigError


def run(
    what: options.SuiteArguments = None,
    *,
    workers: options.Workers = None,
    seed: options.Seed = 1,
    repeat: options.Repeat = None,
    backend: options.Backend = "timetravel",
    libos: options.Libos = "linux",
    keep: options.Keep = False,
    run_dir: options.RunDir = None,
) -> None:
    """Run suites with what is built already; without a name, all of them."""
    from testbed.harness.plan import run_suites

    chosen, pytest_words = split(what or ())
    code = run_suites(
        chosen or [str(folder) for folder in suite_folders().values()],
        workers=options.workers(workers),
        seed=seed,
        repeat=repeat,
        backend=backend,
        libos=libos,
        keep=keep,
        run_dir=run_dir,
        pytest_args=pytest_words,
    )
    raise typer.Exit(int(code))


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell suites from words that are for pytest: those from the first that begins with ``-``.

    Args:
        words: Names of suites, test files or node ids, then words of pytest.

    Returns:
        Paths or node ids for pytest to collect, and the words of pytest.

    Raises:
        ConfigError: A word is neither a suite nor a file; near misses are named.
    """
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    folders = suite_folders()
    paths = []
    for word in words[:first]:
        file = word.partition("::")[0]
        if "/" in file or file.endswith(".py"):
            paths.append(_existing(word, file))
        else:
            paths.append(str(folders[suite(word, folders)]))
    return paths, list(words[first:])


def _existing(word: str, file: str) -> str:
    from pathlib import Path

    if not Path(file).exists():
        raise ConfigError(f"there is no test file {file!r}", hint="testbed list suites")
    return word
