# SPDX-License-Identifier: MIT
"""The exception tree: whose fault it is decides the class and the exit code."""

from __future__ import annotations

import difflib
import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(enum.IntEnum):
    """Exit codes of the command line; 0 to 5 are pytest's own."""

    OK = 0
    FAILED = 1
    INTERRUPTED_PYTEST = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING_RAN = 5
    CRASHED = 6
    CANNOT = 7
    INTERRUPTED = 130


class TestbedError(Exception):
    """The root of all errors that testbed raises on purpose.

    Args:
        message: What was wanted, what was found, where, and what would be valid.
        hint: One line that says what to do next; None where the class says all that can be said.

    Attributes:
        usual_hint: What to do next after any error of the class, for those that have no hint of their own.
    """

    usual_hint = "testbed doctor says what this machine can do"
    __test__ = False  # not a test class, whatever its name says to pytest
    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"


class ConfigError(TestbedError):
    """The user asked for something that does not exist or does not fit together."""

    usual_hint = "testbed --help, or --help after the command"

    exit_code = ExitCode.USAGE


class CapabilityError(TestbedError):
    """This machine, kernel or backend cannot do what was asked."""

    usual_hint = "testbed doctor says what this machine cannot do, and what to type about that"

    exit_code = ExitCode.CANNOT


class BuildError(TestbedError):
    """An artifact could not be built; the message carries the tool's own words and the log's path."""

    usual_hint = "testbed doctor says which tool or package is missing; the build's log has every line"

    exit_code = ExitCode.FAILED


class GuestCrashed(TestbedError):  # noqa: N818  # says what happened
    """The system under test died: a kernel panic, an oops, or the guest's process ended."""

    usual_hint = "the record has the kernel's words: console.log, and kernel.log where it came up (testbed list runs)"

    exit_code = ExitCode.CRASHED


class DeadlineError(TestbedError):
    """Something took longer than it may: in the network's time or by the wall clock."""

    usual_hint = "it may have more: timeout= in the test, --timeout of exec, --stall or --wall-limit by the wall clock"

    exit_code = ExitCode.CRASHED


class InternalError(TestbedError):
    """testbed itself is wrong; please report."""

    usual_hint = "report it with the lines above and what `testbed version --json` prints"

    exit_code = ExitCode.INTERNAL


def near_misses(found: str, valid: Iterable[str]) -> str:
    """Say what would have been valid, nearest first.

    Args:
        found: What the user wrote.
        valid: All names that would have been accepted.

    Returns:
        ``did you mean 'x'?`` where a name is near, else ``valid: a, b, c``; empty when there is none.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(found, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "valid: " + ", ".join(names) if names else ""
