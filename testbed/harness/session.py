# SPDX-License-Identifier: MIT
"""The run as the controller sees it: cases from reports, ``run.json`` and ``junit.xml``, and the exit code."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from testbed.backends.cloudlab.variables import run_words
from testbed.errors import ConfigError, ExitCode, TestbedError
from testbed.harness.cases import REPORT_ATTRIBUTE
from testbed.harness.durations import Durations, about
from testbed.harness.environment import environment, under_test
from testbed.harness.failures import failure_of
from testbed.harness.identity import case_id, suite_folder, suite_kind
from testbed.harness.records import JUNIT_FILE, CaseRecord, RunRecord
from testbed.harness.settings import DEFAULT_REPEAT, settings_of
from testbed.reports import junit
from testbed.verdict import Verdict, exit_code, worst

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from testbed.harness.runfolder import RunFolder

PLUGIN = "testbed-session"
SAVE_EVERY_S = 1.0
_PYTEST_KEEPS = frozenset({pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED})


class RunSession:
    """The controller's side of a run.

    It does nothing visible until the first case that uses a network shows up, or the user asked for a run by an option.

    Args:
        config: pytest's.
        folder: The run's folder; not made yet.
    """

    def __init__(self, config: pytest.Config, folder: RunFolder) -> None:
        settings = settings_of(config)
        self.config = config
        self.folder = folder
        self.active = False
        self.cases: dict[str, CaseRecord] = {}
        self.interrupted = False
        self.page: Path | None = None
        self._exited = False
        self._durations: Durations | None = None
        self._started = time.monotonic()
        self._saved = 0.0
        self.run = RunRecord(
            state="running",
            started=dt.datetime.now().astimezone().isoformat(timespec="seconds"),
            command=list(sys.argv),
            seed=settings.seed,
            repeat=settings.repeat or DEFAULT_REPEAT,
            backend=settings.backend,
            libos=settings.libos,
            environment={},
            options=settings.rerun_options(),
        )

    def activate(self) -> None:
        """Make the run's folder and its first ``run.json``; a second time does nothing.

        Raises:
            pytest.UsageError: The folder cannot be made.
        """
        if self.active or self.config.getoption("collectonly"):
            return
        try:
            self.folder.make()
        except ConfigError as error:
            raise pytest.UsageError(str(error)) from error
        self.active = True
        self._durations = Durations.load()
        workers = getattr(self.config.option, "numprocesses", None) or 1
        self.run.environment = {**environment(workers), "rootdir": str(self.config.rootpath)}
        topo = settings_of(self.config).topo
        self.run.environment |= {} if topo is None else {"topo": topo}
        self.run.environment |= {"experiment": run_words()} if self.run.backend == "cloudlab" else {}
        self._save()

    def kinds(self) -> dict[str, str]:
        """Give what each suite of the run calls itself."""
        folders = {
            case.suite: suite_folder(self.config.rootpath / case.nodeid.partition("::")[0])
            for case in self.cases.values()
        }
        return {suite: suite_kind(folder) for suite, folder in folders.items() if folder is not None}

    def backend_chosen(self, repeat: int) -> None:
        """Take the number of executions once the backend is known."""
        self.run.repeat = repeat

    def left(self, done: Collection[str]) -> str:
        """Say how long the cases that are not done will take, from how long they took before: ``about 40 s left``.

        Args:
            done: Node ids.
        """
        if self._durations is None:
            return ""
        waiting = [case for nodeid, case in self.cases.items() if nodeid not in done]
        left_s = self._durations.left_s(self.run, waiting)
        return f"about {about(left_s)} left" if left_s is not None else ""

    def expect(self, nodeids: list[str]) -> None:
        """Take the cases that were collected: not run until a report says more."""
        for nodeid in nodeids:
            if nodeid not in self.cases:
                self.cases[nodeid] = self._new_case(nodeid)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take the collected cases (without xdist)."""
        if session.config.getoption("collectonly") or session.config.pluginmanager.has_plugin("dsession"):
            return
        self.expect([item.nodeid for item in session.items])
        if any("network" in getattr(item, "fixturenames", ()) for item in session.items):
            self.activate()
        if self.active:
            self._save()  # whoever is killed in the first case leaves word of what was still to run

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:  # noqa: ARG002 (xdist's)
        """Take the collected cases (with xdist; every worker collects the same)."""
        new = any(nodeid not in self.cases for nodeid in ids)
        self.expect(list(ids))
        if self.active and new:
            self._save()

    def pytest_report_collectionfinish(self) -> str | None:
        """Say first what a replay needs."""
        if not self.active:
            return None
        run = self.run
        return f"testbed: seed {run.seed}, backend {run.backend}, libos {run.libos}, records in {self.folder.path}"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take a module that cannot be collected."""
        if report.failed:
            self.run.problems.append(f"cannot collect {report.nodeid}: {_last_line(str(report.longrepr))}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one phase of a test; the last one of a case has its record with it."""
        data = getattr(report, REPORT_ATTRIBUTE, None)
        if data is not None:
            self.activate()
            self.cases[report.nodeid] = CaseRecord.from_dict(json.loads(data))
        elif self.cases.get(report.nodeid) is None or not self.cases[report.nodeid].executions:
            self._take_plain(report)
        if self.active and time.monotonic() - self._saved >= SAVE_EVERY_S:
            self._save()

    def pytest_internalerror(self, excrepr: Any) -> None:
        """Take an internal error of pytest or of a plugin."""
        self.run.problems.append(f"internal error: {_last_line(str(excrepr))}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Take note of Ctrl-C, and of ``pytest.exit`` with a code of its own."""
        # Session.Interrupted (errors while collecting, a worker's wish) is a KeyboardInterrupt, too, by inheritance.
        self.interrupted = type(excinfo.value) is KeyboardInterrupt
        self._exited = isinstance(excinfo.value, pytest.exit.Exception)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Complete the run and give the session its exit code."""
        if not self.active:
            return
        if self.interrupted:
            session.exitstatus = ExitCode.INTERRUPTED
        elif (not self._exited or exitstatus == 0) and exitstatus not in _PYTEST_KEEPS:
            session.exitstatus = self._exit_code(exitstatus)
        self.run.state = "interrupted" if self.interrupted or self._exited else "finished"
        self.run.exit_code = int(session.exitstatus)
        self._save()
        self.folder.make_room()
        self._write_junit()
        if self._durations is not None:
            self._durations.take(self.run)
        self._write_page()
        self.folder.release()

    def _exit_code(self, exitstatus: int) -> ExitCode | int:
        """Give the exit code that the verdicts of all cases ask for; 0 only where pytest, too, found nothing wrong."""
        code = exit_code(self._verdicts())
        if code in {ExitCode.OK, ExitCode.NOTHING_RAN} and exitstatus not in {0, pytest.ExitCode.NO_TESTS_COLLECTED}:
            return exitstatus  # --maxfail, a plugin's own gate
        return code

    def _verdicts(self) -> list[Verdict]:
        """Give the verdicts of all cases, and an error for what went wrong beside them."""
        return [case.verdict for case in self.cases.values()] + [Verdict.ERROR] * bool(self.run.problems)

    def _take_plain(self, report: pytest.TestReport) -> None:
        """Take a phase of a test without a network, or of a worker that died."""
        case = self.cases.setdefault(report.nodeid, self._new_case(report.nodeid))
        verdict, reason = Verdict.PASSED, ""
        if hasattr(report, "wasxfail") and report.skipped:
            verdict, reason = Verdict.XFAILED, str(report.wasxfail)
        elif report.skipped:
            verdict, reason = Verdict.SKIPPED, _skip_reason(report)
        elif report.failed:
            verdict = Verdict.FAILED if report.when == "call" else Verdict.ERROR
            reason = _last_line(str(report.longrepr))
        elif report.when != "call":
            return
        known = [] if case.verdict is Verdict.NOT_RUN else [case.verdict]
        case.wall_s += getattr(report, "duration", 0.0)
        if worst([*known, verdict]) is verdict:
            case.verdict, case.reason, case.failure = verdict, reason, failure_of(report)

    def _new_case(self, nodeid: str) -> CaseRecord:
        identity = case_id(self.config.rootpath / nodeid.partition("::")[0], nodeid)
        return CaseRecord(nodeid, identity.suite, identity.name)

    def _save(self) -> None:
        """Write ``run.json``; a full disk costs the newest state, never the older one."""
        self._saved = time.monotonic()
        self.run.wall_s = round(time.monotonic() - self._started, 3)
        self.run.cases = list(self.cases.values())
        self.run.environment |= under_test(self.run.cases)
        self.run.verdict = worst(self._verdicts())
        try:
            self.run.save(self.folder.path)
        except OSError as error:
            self.folder.make_room()
            self.run.problems.append(f"cannot write run.json: {error.strerror}")
            try:
                self.run.save(self.folder.path)
            except OSError as again:
                sys.stderr.write(f"testbed: cannot write {self.folder.path}/run.json: {again.strerror}\n")

    def _write_junit(self) -> None:
        """Write ``junit.xml``; a full disk costs it, and nothing else."""
        try:
            junit.write(self.run, self.folder.path)
        except OSError as error:
            sys.stderr.write(f"testbed: cannot write {self.folder.path / JUNIT_FILE}: {error.strerror}\n")

    def _write_page(self) -> None:
        """Write ``report.html``; whatever goes wrong there, the run is whole without it, and its exit code stands."""
        if self.config.getoption("--no-report"):
            return
        from testbed.reports import html  # noqa: PLC0415 (it takes a while, and not every session ends here)

        try:
            self.page = html.write(self.folder.path, every_packet=False)
        except Exception as error:  # noqa: BLE001 (a page that cannot be drawn is no reason to lose a verdict)
            what = f"testbed: cannot write {self.folder.path / html.PAGE_FILE}: {type(error).__name__}: {error}\n"
            sys.stderr.write(what)
            if not isinstance(error, OSError | TestbedError):
                sys.stderr.write("This is a fault of testbed itself: please report it.\n")


def _skip_reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
