# SPDX-License-Identifier: MIT
"""One execution of a case: its recorder, its network, and what its phases came to."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.backends.base import CAPABILITIES
from testbed.errors import CapabilityError, ConfigError, near_misses
from testbed.harness import digest, flavors, verdicts
from testbed.harness.recorder import DiskRecorder, RecordingFailed
from testbed.harness.records import ExecutionRecord, Record
from testbed.harness.settings import DEFAULT_LIBOS
from testbed.harness.verdicts import one_line
from testbed.verdict import Verdict, is_bad, worst

if TYPE_CHECKING:
    from testbed.backends.base import Backend, BackendOptions
    from testbed.backends.network import Network
    from testbed.harness.identity import CaseId
    from testbed.harness.runfolder import RunFolder
    from testbed.harness.settings import Settings
    from testbed.scenarios.topology import Topology

KEY: pytest.StashKey[Execution] = pytest.StashKey()


class Execution:
    """One execution.

    Args:
        item: The test.
        case: Who it is.
        number: 1, 2, ...
        backend, settings: How it is executed.
        run: The run's folder.
    """

    def __init__(
        self, item: pytest.Item, case: CaseId, number: int, *, backend: Backend, settings: Settings, run: RunFolder
    ) -> None:
        self.item = item
        self.case = case
        self.number = number
        self.backend = backend
        self.settings = settings
        self.run = run
        self.seed = case.seed(settings.seed)
        self.verdict = Verdict.NOT_RUN
        self.reason = ""
        self.evidence = ""
        self.recorder: DiskRecorder | None = None
        self.reports: list[pytest.TestReport] = []
        self._network: Network | None = None
        self._judged: list[tuple[Verdict, str]] = []
        self._started = time.monotonic()
        self._wall_s = 0.0

    @property
    def folder(self) -> Path | None:
        """Give the folder of its record; None where nothing was recorded."""
        return self.recorder.folder if self.recorder is not None else None

    @property
    def record(self) -> Record | None:
        """Give its record, or None."""
        return self.recorder.record if self.recorder is not None else None

    def bring_up(self, topology: Topology) -> Network:
        """Bring the network of this execution up, with a recorder of its own.

        Raises:
            CapabilityError: The backend cannot do what the case needs.
            RecordingFailed: The record's folder cannot be written.
        """
        self._check_real_time()
        flavors.ready(self.item)
        options = self.settings.options(_memory_mib(self.item))
        self._check_capabilities(options)
        folder = self.run.execution(self.case.suite, self.case.name, self.number)
        record = Record(
            nodeid=self.case.nodeid,
            suite=self.case.suite,
            case=self.case.name,
            execution=self.number,
            seed=self.seed,
            backend=self.backend.name,
        )
        before = 0 if self.backend.virtual_time else _host_taint()
        self.recorder = DiskRecorder(
            folder,
            record,
            self.run.make_room,
            taint_before=before,
            output_limit_bytes=options.output_limit_bytes,
        )
        self.recorder.topology(topology)
        network = self.backend.up(topology, seed=self.seed, recorder=self.recorder, options=options)
        record.epoch_ns, record.kernel, record.artifacts = network.epoch_ns, network.release, network.artifacts
        self._network = network
        return network

    def judge(self, report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None) -> None:
        """Take the outcome of a phase; a capability that lacks makes its report a skip, unless it is required."""
        if excinfo is not None and isinstance(excinfo.value, CapabilityError):
            self._lacks(report, excinfo.value)
        elif hasattr(report, "wasxfail") and report.skipped:
            self._judged.append(_of_xfail(report, excinfo))
        elif report.skipped and excinfo is not None:
            self._lacks(report, excinfo.value)
        elif report.failed and excinfo is not None:
            self._judged.append((verdicts.of_exception(excinfo.value, report.when), one_line(excinfo.value)))
        elif report.failed:
            self._judged.append((Verdict.FAILED, str(report.longrepr)))
        elif report.when == "call":
            self._judged.append((Verdict.PASSED, ""))

    def finish(self, reports: list[pytest.TestReport]) -> None:
        """Complete the record and settle the verdict of this execution."""
        self.reports = reports
        self._wall_s = time.monotonic() - self._started
        if self._network is not None and self._network.died is not None:  # a test may have caught it, or expected it
            self._judged.append((verdicts.of_exception(self._network.died, "call"), one_line(self._network.died)))
        if self.recorder is not None:
            if not self.backend.virtual_time:  # the host's kernel has no log of its own for us, but its taint
                self.recorder.kernel_log("", _host_taint())
            verdict, reason, self.evidence = verdicts.of_record(self.recorder)
            if verdict is not Verdict.PASSED:  # a record without fault is no pass: the test has to say so
                self._judged.append((verdict, reason))
            elif self._network is not None and not self.recorder.kernel_told and not self._is_bad():
                self._judged.append((Verdict.ERROR, "the network was never taken down: its kernel may have complained"))
        self._settle()
        self._save()

    def add(self, report: pytest.TestReport) -> None:
        """Take one more report, which came after the end and was judged already."""
        self.reports.append(report)
        self._settle()
        self._save()

    def interrupted(self) -> None:
        """Leave a record of what there was when somebody pressed Ctrl-C."""
        self._wall_s = time.monotonic() - self._started
        self._judged.append((Verdict.NOT_RUN, "interrupted"))
        self._settle()
        self._save()

    def summary(self) -> ExecutionRecord:
        """Sum it up for ``run.json``."""
        record = self.record
        return ExecutionRecord(
            number=self.number,
            verdict=self.verdict,
            reason=self.reason,
            digest=record.digest if record is not None else None,
            virtual_s=record.end_ns / 1e9 if record is not None else 0.0,
            wall_s=round(self._wall_s, 6),
            folder=self.run.relative(self.folder) if self.folder is not None else None,
        )

    def _is_bad(self) -> bool:
        return is_bad(worst(verdict for verdict, _ in self._judged))

    def _settle(self) -> None:
        self.verdict = worst(verdict for verdict, _ in self._judged)
        self.reason = next((reason for verdict, reason in self._judged if verdict is self.verdict), "")

    def _save(self) -> None:
        if self.recorder is None:
            return
        record = self.recorder.record
        record.verdict, record.reason, record.wall_s = self.verdict, self.reason, round(self._wall_s, 6)
        try:
            self.recorder.finish(self._left_out())
            self._check_left_out()
        except (RecordingFailed, ConfigError) as error:
            self._judged.append((Verdict.ERROR, str(error)))
            self._settle()

    def _left_out(self) -> list[str]:
        """Give the names of the parts that the case leaves out of its digest."""
        return [name for marker in self.item.iter_markers("digest_without") for name in marker.args]

    def _check_left_out(self) -> None:
        """Refuse a name that leaves nothing out: it is a mistake, or no longer needed.

        Raises:
            ConfigError: A name matches no part of this record.
        """
        record = self.record
        if record is None or self.verdict not in {Verdict.PASSED, Verdict.XFAILED}:
            return  # a case that ended early may not have got so far
        for name in self._left_out():
            if not digest.matching(name, record.parts):
                parts = ", ".join(sorted(record.parts))
                raise ConfigError(f"digest_without({name!r}) names no part of the record; there are: {parts}")
        if record.parts.keys() <= set(record.left_out):
            raise ConfigError("digest_without(...) leaves out every part of the record: nothing would be compared")

    def _lacks(self, report: pytest.TestReport, error: BaseException) -> None:
        """Make a report a skip, or an error where the lacking capability is required."""
        reason = one_line(error)
        required = self.settings.requires(reason)
        if required is not None:
            report.outcome = "failed"
            report.longrepr = f"skipped although {required!r} is required (--require): {error}"
            self._judged.append((Verdict.ERROR, report.longrepr))
            return
        release = self._complete_release()
        if release is not None:
            report.outcome = "failed"
            report.longrepr = (
                f"skipped on testbed's own kernel {release}, which lacks nothing that this suite needs: {error}\n"
                "hint: the kernel or its configuration has lost something; or the suite asks for more than it should"
            )
            self._judged.append((Verdict.ERROR, report.longrepr))
            return
        if not report.skipped or hasattr(report, "wasxfail"):
            report.__dict__.pop("wasxfail", None)
            path, line, _ = self.item.location
            report.outcome = "skipped"
            report.longrepr = (path, line or 0, f"Skipped: {reason}")
        self._judged.append((Verdict.SKIPPED, reason))

    def _complete_release(self) -> str | None:
        """Give the release of testbed's own kernel if the case runs on it and must not be skipped there, else None."""
        marker = self.item.get_closest_marker("complete")
        if marker is None or self.settings.libos != DEFAULT_LIBOS:
            return None
        release = self.backend.own_release()
        found = re.match(r"(\d+)\.(\d+)", release or "")
        return release if found and (int(found[1]), int(found[2])) >= tuple(marker.args) else None

    def _check_real_time(self) -> None:
        marker = self.item.get_closest_marker("real_time_budget")
        if marker is None or self.backend.virtual_time:
            return
        seconds = float(marker.args[0])
        if seconds > self.settings.real_time_limit_s:
            raise CapabilityError(
                f"would take {_duration(seconds)} of real time on backend {self.backend.name!r}; "
                f"the limit is {_duration(self.settings.real_time_limit_s)} (--real-time-limit)"
            )

    def _check_capabilities(self, options: BackendOptions) -> None:
        wanted = [name for marker in self.item.iter_markers("requires") for name in marker.args]
        if wanted:  # else nobody asks: it may cost a guest
            for name in (name for name in wanted if name not in CAPABILITIES):
                raise ConfigError(f"requires({name!r}): no such capability; {near_misses(name, CAPABILITIES)}")
            have = self.backend.capabilities(options)
            for name in (name for name in wanted if name not in have):
                raise CapabilityError(f"the kernel of backend {self.backend.name!r} has no {name}")


def _of_xfail(report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None) -> tuple[Verdict, str]:
    """Judge a test that failed as expected: nobody can expect a crash, or an error of the harness."""
    if excinfo is not None:
        found = verdicts.of_exception(excinfo.value, report.when)
        if found in {Verdict.CRASHED, Verdict.ERROR}:
            return found, one_line(excinfo.value)
    return Verdict.XFAILED, str(report.wasxfail)


def _host_taint() -> int:
    """Give the taint of the host's kernel, which a backend on it shares with everybody."""
    return int(Path("/proc/sys/kernel/tainted").read_text())


def _memory_mib(item: pytest.Item) -> int | None:
    marker = item.get_closest_marker("memory")
    return None if marker is None else int(marker.args[0])


def _duration(seconds: float) -> str:
    """Say a length of time in the unit that reads best."""
    for unit, size in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:g} seconds"
