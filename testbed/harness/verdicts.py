# SPDX-License-Identifier: MIT
"""Judge one execution: from what its phases raised, and from what its record proves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.backends.completion import LibOSBroken, LibOSError, WorkloadFailed
from testbed.backends.guest import LOG_FOLLOWS
from testbed.errors import CapabilityError, DeadlineError, GuestCrashed, TestbedError
from testbed.harness import kernlog
from testbed.paths import package_dir
from testbed.verdict import Verdict, worst

if TYPE_CHECKING:
    from types import TracebackType

    from testbed.harness.recorder import DiskRecorder

_BY_CLASS: tuple[tuple[type[BaseException], Verdict], ...] = (
    (CapabilityError, Verdict.SKIPPED),
    (GuestCrashed, Verdict.CRASHED),
    (DeadlineError, Verdict.TIMED_OUT),
    # What a LibOS does wrong is its own fault in a fixture, too.
    (LibOSError, Verdict.FAILED),
    (LibOSBroken, Verdict.FAILED),
    (WorkloadFailed, Verdict.FAILED),
    (TestbedError, Verdict.ERROR),
)
# What testbed's own code raises on purpose for what the test or the system under test did.
_FOR_THE_TEST = (AssertionError, OSError, EOFError, TypeError, ValueError, LookupError, UnicodeError)


def of_exception(error: BaseException, when: str) -> Verdict:
    """Judge what a phase raised.

    Args:
        error: The exception; of a group, the worst of its members counts.
        when: ``setup``, ``call`` or ``teardown``.
    """
    if isinstance(error, BaseExceptionGroup):
        return worst(of_exception(member, when) for member in error.exceptions)
    for kind, verdict in _BY_CLASS:
        if isinstance(error, kind):
            return verdict
    if isinstance(error, pytest.skip.Exception):
        return Verdict.SKIPPED
    if when != "call":
        return Verdict.ERROR
    if isinstance(error, (pytest.fail.Exception, *_FOR_THE_TEST)) or not _raised_in_testbed(error.__traceback__):
        return Verdict.FAILED
    return Verdict.ERROR


def one_line(error: BaseException) -> str:
    """Say in one line what was raised."""
    text = str(error).strip().splitlines()
    first = text[0].removesuffix(f"; {LOG_FOLLOWS}") if text else ""
    name = type(error).__name__
    if isinstance(error, TestbedError | pytest.skip.Exception | pytest.fail.Exception):
        return first or name
    return f"{name}: {first}" if first else name


def of_record(recorder: DiskRecorder) -> tuple[Verdict, str, str]:
    """Judge what was recorded, whatever the test says of it.

    Returns:
        Verdict, one line of reason, and the evidence (a part of the kernel's log); PASSED where nothing is wrong.
    """
    if recorder.failure is not None:
        return Verdict.ERROR, str(recorder.failure), ""
    found = recorder.complaints()
    if found:
        first = found[0]
        hint = ""
        if any(complaint.trouble is kernlog.Trouble.OUT_OF_MEMORY for complaint in found):
            hint = "\nhint: @pytest.mark.memory(MIB) gives the guest of a case more memory"
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        excerpts = "\n".join(complaint.excerpt for complaint in found[:3])
        return Verdict.CRASHED, f"{first.trouble}: {first.headline}{more}{hint}", excerpts
    if recorder.record.lost_frames:
        return (
            Verdict.ERROR,
            f"the capture ring lost {recorder.record.lost_frames} frames: the captures prove nothing",
            "",
        )
    if kernlog.LOST in recorder.kernel_text:
        return Verdict.ERROR, "records of the kernel's log were lost: it may have complained", ""
    return Verdict.PASSED, "", ""


def _raised_in_testbed(traceback: TracebackType | None) -> bool:
    """Say whether the innermost frame is testbed's own."""
    file = ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        traceback = traceback.tb_next
    return bool(file) and Path(file).is_relative_to(package_dir())
