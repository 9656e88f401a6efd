# SPDX-License-Identifier: MIT
"""``testbed run``: run suites or single tests, with any words of pytest after ``--``."""

from collections.abc import Sequence

import typer

from testbed.cli import options
from testbed.cli.make.library import set_up
from testbed.cli.publish import Publish


def run(
    what: options.SuiteArguments = None,
    *,
    workers: options.Workers = None,
    seed: options.Seed = 1,
    repeat: options.Repeat = None,
    backend: options.Backend = "timetravel",
    switch: options.Switch = None,
    libos: options.Libos = "linux",
    topo: options.Topo = None,
    keep: options.Keep = False,
    run_dir: options.RunDir = None,
    stall_s: options.Stall = 30,
    wall_limit_s: options.WallLimit = 900,
    spin_ms: options.SpinMs = None,
    no_captures: options.NoCaptures = False,
    require: options.Require = None,
    summary: options.Summary = None,
    badges: options.Badges = None,
) -> None:
    """Run suites, test files or single tests; without a name, all suites of the current folder, else testbed's."""
    from testbed.backends.registry import switch_kind
    from testbed.harness.plan import resolve, run_suites

    names, pytest_words = split(what or ())
    paths = resolve(names)  # refuses an unknown name before anything is built
    network_file = options.network_file(topo)
    switch_kind(switch, backend)
    publish = Publish.checked(summary, badges)
    set_up(backend, libos, paths)
    code = run_suites(
        names,
        workers=options.workers(workers, backend),
        seed=seed,
        repeat=repeat,
        backend=backend,
        libos=libos,
        topo=network_file,
        switch=switch,
        keep=keep,
        run_dir=run_dir,
        pytest_args=[
            *options.rare(stall_s, wall_limit_s, spin_ms, require, no_captures=no_captures),
            *pytest_words,
        ],
        around=publish.around(),
        ended=publish,
    )
    raise typer.Exit(int(code))


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell suites from words that are for pytest: those from the first that begins with ``-``."""
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    return list(words[:first]), list(words[first:])
