# SPDX-License-Identifier: MIT
"""``testbed make test``: build what is missing, then run the suites and examples."""

import typer

from testbed.cli import options
from testbed.cli.make.library import set_up
from testbed.cli.publish import Publish


def make_test(
    *,
    suites: options.SuiteNames = None,
    examples: options.ExampleNames = None,
    workers: options.Workers = None,
    seed: options.Seed = 1,
    repeat: options.Repeat = None,
    backend: options.Backend = "timetravel",
    libos: options.Libos = "linux",
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
    """Build what is missing, then run all suites and examples, or those that are named; one line each.

    Names of the old system, such as dce-tcp-simple, are good too.
    """
    from testbed.harness.plan import resolve, run_suites

    names = [*(suites or ()), *(examples or ())]
    paths = resolve(names)  # refuses an unknown name before anything is built
    publish = Publish.checked(summary, badges)
    set_up(backend, libos, paths)
    code = run_suites(
        names,
        workers=options.workers(workers, backend),
        seed=seed,
        repeat=repeat,
        backend=backend,
        libos=libos,
        keep=keep,
        run_dir=run_dir,
        pytest_args=options.rare(stall_s, wall_limit_s, spin_ms, require, no_captures=no_captures),
        around=publish.around(),
        ended=publish,
    )
    raise typer.Exit(int(code))
