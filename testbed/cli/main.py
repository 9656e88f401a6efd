# SPDX-License-Identifier: MIT
"""The command line: which commands there are, and what becomes of an error."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import bench, build, check, diff, doctor, exec_, list_, packets, prune, replay, report, run, version
from testbed.cli import cloudlab as cloudlab_
from testbed.cli import shell as shell_
from testbed.cli import show as show_
from testbed.cli import workload as workload_
from testbed.cli.make import app as make_app
from testbed.cli.output import called, line, note
from testbed.errors import ConfigError, ExitCode, InternalError, TestbedError
from testbed.paths import cache_dir, runs_dir

app = typer.Typer(
    name="testbed",
    help="A testbed for network code: real kernels, whole networks, virtual time, the same bits every time.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: testbed make test -s mptcp",
)


@app.callback()
def root(
    context: typer.Context,
    *,
    debug: Annotated[bool, typer.Option("--debug", envvar="TESTBED_DEBUG", help="Show tracebacks.")] = False,
) -> None:
    """A testbed for network code: real kernels, whole networks, virtual time, the same bits every time."""
    if debug:
        os.environ["TESTBED_DEBUG"] = "1"  # fail() reads it, and so do the commands' own child processes
    if context.invoked_subcommand is None:
        from testbed.cli.next_step import advice

        for text in advice():
            line(text)


# In the order of a newcomer's day; everything after the first own word of `exec` belongs to the command in the guest.
app.command("doctor", epilog="Example: testbed doctor --json")(doctor.doctor)
app.command("build", epilog="Example: testbed build linux --config my.config --jobs 4")(build.build)
app.add_typer(make_app, name="make")
app.command("run", epilog="Example: testbed run mptcp --seed 7 -- -k address -x")(run.run)
app.command(
    "exec",
    epilog="Example: testbed exec --scenario pair --param delay_ms=10 -- ping -c3 10.0.1.2",
    context_settings={"allow_interspersed_args": False},
)(exec_.exec_)
app.command("shell", epilog="Example: testbed shell lan:n=3,delay_ms=5 --script lines.txt")(shell_.shell)
app.command("show", epilog="Example: testbed show dumbbell:n=3 --svg dumbbell.svg")(show_.show)
app.command(
    "workload",
    epilog="Example: testbed workload --libos catnap tcp-echo --server 127.0.0.1:7000",
    context_settings={"allow_interspersed_args": False},
)(workload_.workload)
app.command("list", epilog="Example: testbed list scenarios --json")(list_.list_)
app.command("report", epilog="Example: testbed report latest --open")(report.report)
app.command("diff", epilog="Example: testbed diff testbed-runs/OLDER latest test_lost_syn_is_sent --context 5")(
    diff.diff
)
app.command("replay", epilog="Example: testbed replay latest test_lost_syn_is_sent --until 2.5")(replay.replay)
app.command("packets", epilog="Example: testbed packets latest test_lost_syn_is_sent --link h1-h2 -x")(packets.packets)
app.command("prune", epilog="Example: testbed prune --keep 20 --older 7d --artifacts --dry-run")(prune.prune)
app.command("bench", epilog="Example: testbed bench boot case --runs 5")(bench.bench)
app.command("check", epilog="Example: testbed check ruff mypy")(check.check)
app.add_typer(cloudlab_.app, name="cloudlab")
app.command("version", epilog="Example: testbed version --json")(version.version)


def fail(error: TestbedError) -> int:
    """Tell of an error that was raised on purpose; a traceback only on wish, or when the fault is ours.

    Returns:
        The exit code that belongs to the error's class.
    """
    if error.__traceback__ is not None and (os.environ.get("TESTBED_DEBUG") or isinstance(error, InternalError)):
        traceback.print_exception(error)
    note(f"error: {error.message}", style="red")
    note(f"hint: {called(error.hint or error.usual_hint)}")
    if isinstance(error, InternalError):
        note("This is a fault of testbed itself: please report it with the lines above.")
    return int(error.exit_code)


def call(arguments: Sequence[str]) -> int:
    """Run the CLI and turn every outcome into an exit code.

    Args:
        arguments: The words after the program's name.

    Returns:
        0, or a code of :class:`testbed.errors.ExitCode`, or for ``exec`` the command's own.
    """
    try:
        outcome = app(args=list(arguments), prog_name="testbed", standalone_mode=False)
    except TestbedError as error:
        return fail(error)
    except KeyboardInterrupt:
        note("interrupted")
        return int(ExitCode.INTERRUPTED)
    except typer.Abort:
        return int(ExitCode.INTERRUPTED)
    except typer.TyperException as error:
        return _usage(error)
    except BrokenPipeError:
        # Whoever read our output (head, less) has gone; say nothing, and keep Python from flushing into the void.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001  # the outermost frame: whatever comes here is a fault of ours
        if isinstance(error, OSError) and (refused := _refused(error)) is not None:
            return fail(refused)
        traceback.print_exception(error)
        return fail(InternalError(f"unexpected {type(error).__name__}: {error}"))
    return outcome if isinstance(outcome, int) else int(ExitCode.OK)


def _refused(error: OSError) -> ConfigError | None:
    """Say that one of the folders which the user can choose is none for us; None where it is about another file."""
    folders = (("cache", "TESTBED_CACHE", cache_dir()), ("folder of runs", "TESTBED_RUNS", runs_dir()))
    for what, variable, folder in folders:
        if isinstance(error.filename, str) and Path(error.filename).is_relative_to(folder):
            return ConfigError(
                f"cannot write to the {what} {str(folder)!r}: {error.filename}: {error.strerror}",
                hint=f"set {variable} to a folder that you may write to, with room in it",
            )
    return None


def _usage(error: typer.TyperException) -> int:
    """Tell of wrong words on the command line: what was found, what is near, where to read on."""
    describe = getattr(error, "format_message", error.__str__)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "testbed"
    message = describe()
    if message:  # of a command without its words the help was shown, and says all
        note(f"error: {message}", style="red")
    note(f"hint: {called(f'{path} --help')}")
    return int(ExitCode.USAGE)


def main() -> None:
    """Run the command line of this process and exit; SIGTERM is taken as Ctrl-C, so that partial results are kept."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(call(sys.argv[1:]))
