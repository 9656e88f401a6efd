# SPDX-License-Identifier: MIT
"""Running a program of the suite process-manager: its output, its stderr, its end and its times are all compared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from suites.process_manager.behave import LATE_NS, REAL_LATE_NS, Behave
from testbed.backends.process import Completed

if TYPE_CHECKING:
    from testbed.backends.network import Network
    from testbed.backends.node import Node


def program(_: Node, name: str) -> str:
    return f"/testbin/{name}"


def behave(stdout: str, stderr: str = "", status: int = 0, *, virtual: bool = True) -> Behave:
    """Give what runs programs that all end like this."""
    done = Completed(
        node="h1",
        argv=("/testbin/x", "one"),
        returncode=status,
        stdout_bytes=stdout.encode(),
        stderr_bytes=stderr.encode(),
        start_s=0,
        end_s=1,
    )

    class Fake(dict[str, SimpleNamespace]):
        virtual_time = virtual

    node = SimpleNamespace(run=lambda *_, **__: done)
    return Behave(cast("Network", Fake(h1=node)), program)


def run(made: Behave, expected: str, code: int = 0) -> Completed:
    return made("x", "one", expected=expected, code=code)


def test_what_is_expected_passes() -> None:
    assert run(behave("line\n"), "line").stdout == "line\n"
    run(behave("", status=7), "", code=7)
    run(behave("", status=-9), "", code=-9)


@pytest.mark.parametrize(
    ("stdout", "stderr", "status"),
    [
        ("line\n", "", 1),
        ("line\n", "oops\n", 0),
        ("other\n", "", 0),
        ("line\nmore\n", "", 0),
        ("", "", 0),
        ("line", "", 0),
    ],
    ids=["status", "stderr", "text", "more", "nothing", "no-newline"],
)
def test_anything_else_is_found(stdout: str, stderr: str, status: int) -> None:
    with pytest.raises(AssertionError):
        run(behave(stdout, stderr, status), "line")


@pytest.mark.parametrize(("virtual", "late_ns"), [(True, LATE_NS), (False, REAL_LATE_NS)], ids=["virtual", "real"])
def test_times_may_be_as_late_as_the_clock_is_coarse(*, virtual: bool, late_ns: int) -> None:
    run(behave(f"after {1000 + late_ns} ns\n", virtual=virtual), "after 1000 ns")
    with pytest.raises(AssertionError, match="instead of 1000 ns"):
        run(behave(f"after {1001 + late_ns} ns\n", virtual=virtual), "after 1000 ns")


def test_several_behaviours_are_all_run() -> None:
    made = behave("line\n")
    made.each("x", {"one": "line", "two": "line"})
    with pytest.raises(AssertionError):
        made.each("x", {"one": "line", "two": "other"})
