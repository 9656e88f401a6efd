# SPDX-License-Identifier: MIT
"""Processes: how they are made, become another program, are waited for, and end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from suites.process_manager.behave import alone, table

if TYPE_CHECKING:
    from suites.process_manager.behave import Behave

pytestmark = alone

FORK = {
    "memory-is-copied": "child: 10 20 30 40\nparent: 1 2 3 0",
    "shared-memory-is-shared": "parent: 42",
    "file-offset-is-shared": "parent child parent",
    "identities": "child of its parent, in its group and session",
    "alarms-and-pending-signals-stay": "mask inherited, alarm and pending signal not",
    "vfork-suspends-the-parent": "parent goes on after 3000000000 ns\nchild wrote 2",
    "orphan-is-adopted": "adopted by 1\nnot by its grandparent",
    "subreaper-adopts": "grandchild: 7",
    "sessions-and-groups": "sessions and groups",
    "a-hundred-children": "sum of exit codes: 4950",
}

WORDS = "argument a program\nargument report\nargument two words\nargument "
OWN = "variable KEPT=from before"
ALONG_PATH = f"{OWN}\nvariable PATH=/testbin"
GIVEN = "variable GIVEN=by exec"
EXEC = {
    "execl": f"{WORDS}\n{OWN}",
    "execle": f"{WORDS}\n{GIVEN}",
    "execlp": f"{WORDS}\n{ALONG_PATH}",
    "execv": f"{WORDS}\n{OWN}",
    "execve": f"{WORDS}\n{GIVEN}",
    "execvp": f"{WORDS}\n{ALONG_PATH}",
    "execvpe": f"{WORDS}\n{GIVEN}",
    "fexecve": f"{WORDS}\n{GIVEN}",
    "refused": "still here",
    "arguments-too-long": "still here",
    "interpreter": "argument /testbin/process-exec\nargument report\nargument /tmp/script\nargument kept",
    "shell-for-execvp": "run by a shell: /tmp/bare one",
    "keeps": "100 s until the alarm\nfolder /tmp",
    "environment": "shell: after\nenvironment",
}

WAIT = {
    "until-the-end": "child ended after 2500000000 ns",
    "any-child-in-order-of-their-ends": "child 1 ended\nchild 2 ended\nchild 3 ended\nall ended after 3000000000 ns",
    "one-of-several": "second ended after 2000000000 ns\nfirst had ended after 2000000000 ns",
    "without-hanging": "not yet, ended, none left",
    "refused": "refused",
    "stopped-and-continued": f"stopped: state T\ncontinued: ended by signal {signal.SIGTERM}",
    "zombie-until-waited-for": "before: state Z\nafter: state -",
    "looked-at-and-left": "state Z",
    "details": "signal 17 code 1 status 255\nsignal 17 code 2 status 9",
    "a-group": "two of the group, not the third",
    "by-descriptor": "status 6\nchild ended after 1000000000 ns",
    "ignored-children-leave-nothing": "none left after 1000000000 ns\nstate -",
    "usage-of-a-child": "more than 8 MiB, more than 2048 faults",
}


def handlers(code: int) -> str:
    """Give what the handlers say that were registered with atexit and on_exit."""
    return f"registered third\non exit with {code}\nregistered second\nregistered first"


EXIT = {
    "handlers-in-reverse": (handlers(4), 4),
    "handlers-on-return": (handlers(0), 0),
    "handlers-of-both-kinds": ("registered first\nregistered second", 5),
    "no-handlers": ("", 6),
    "handler-registers-another": (f"{handlers(0)}\nregistered first", 0),
    "code-of-the-last": ("", 9),
    "buffers": ("written by exit", 0),
    "by-a-thread": ("registered first", 7),
    "main-ends-before-its-threads": ("the last thread", 0),
}


@table(FORK)
def test_fork(behave: Behave, behaviour: str, expected: str) -> None:
    """What parent and child share, and who is whose parent (fork(2), vfork(2))."""
    behave("process-fork", behaviour, expected=expected)


def test_vfork_until_exec(behave: Behave) -> None:
    """After vfork the parent goes on when its child executes another program, not when that ends."""
    done = behave(
        "process-fork", "vfork-until-exec", expected="parent goes on after 0 ns\nchild has slept", late_ns=10**9
    )
    assert done.duration_s == pytest.approx(2.0, abs=0.1)


def test_fork_handlers(behave: Behave) -> None:
    """What is registered with pthread_atfork is called before the fork, and after it on both sides, in any order."""
    place = behave.network["h1"]
    done = place.run([behave.program(place, "process-fork"), "fork-handlers"])
    first, *then = done.stdout.splitlines()
    assert (first, sorted(then)) == ("prepare", ["child", "parent"])


@table(EXEC)
def test_exec(behave: Behave, behaviour: str, expected: str) -> None:
    """The eight variants, argv[0], the environment, what a program keeps, and what is refused (exec(3))."""
    behave("process-exec", behaviour, expected=expected)


@table(WAIT)
def test_wait(behave: Behave, behaviour: str, expected: str) -> None:
    """Which child is waited for, for how long, and what is told of it (wait(2))."""
    behave("process-wait", behaviour, expected=expected)


@pytest.mark.parametrize("behaviour", EXIT)
def test_exit(behave: Behave, behaviour: str) -> None:
    """What runs at the end of a process (exit(3), _exit(2), quick_exit(3), pthread_exit(3))."""
    expected, code = EXIT[behaviour]
    behave("process-exit", behaviour, expected=expected, code=code)


def test_exit_codes(behave: Behave) -> None:
    """The test gets the low eight bits of what the program passes to exit."""
    for wanted, found in ((0, 0), (1, 1), (127, 127), (255, 255), (256, 0), (-1, 255)):
        behave("process-exit", "with-code", str(wanted), expected="", code=found)


def test_ends_by_signals(behave: Behave) -> None:
    """The test gets the number of the signal that ended a program; those that a program outlives end none."""
    for number in (signal.SIGHUP, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM, signal.SIGRTMAX):
        behave("process-exit", "by-signal", str(int(number)), expected="", code=-number)
    for number in (signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH):
        behave("process-exit", "by-signal", str(int(number)), expected=f"outlived signal {int(number)}")


def test_programs_of_this_suite_fail_loudly(behave: Behave) -> None:
    """An unknown behaviour is a usage error that lists the known ones; a surprise ends a program with its place."""
    place = behave.network["h1"]
    path = behave.program(place, "process-exit")
    unknown = place.run([path, "missing"], check=False)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith(f"usage: {path} BEHAVIOUR")
    assert "\n  handlers-in-reverse\n" in unknown.stderr
    surprised = place.run([path, "with-code"], check=False)
    assert (surprised.returncode, surprised.stdout) == (1, "")
    assert surprised.stderr.startswith("process_exit.c:")
    assert "wanted arguments[0]" in surprised.stderr
