# SPDX-License-Identifier: MIT
"""The live terminal of a run: progress while it runs, what failed and why, and one line for each suite at its end.

It takes the place of pytest's own reporter (as pytest-sugar does) and uses its way of showing failures.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TextIO, cast

import pytest
from _pytest.terminal import TerminalReporter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from testbed.harness.records import CaseRecord
from testbed.reports.tally import by_libos, by_suite
from testbed.verdict import Verdict, is_bad

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.harness.records import RunRecord
    from testbed.reports.tally import Tally

SESSION = "testbed-session"
KIND = "TestSuite"
SURE_SHARE = 0.1  # of the cases that must be done before their speed says anything
SHOWN_RUNNING = 3
HEARTBEAT_S = 30.0
"""Without a terminal: wall time between two lines that say how far the run is."""
NAME_WIDTH = 27


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take the place of pytest's terminal reporter."""
    own = config.pluginmanager.get_plugin("terminalreporter")
    if own is None or isinstance(own, SuiteReporter) or hasattr(config, "workerinput"):
        return
    reporter = SuiteReporter(config)
    config.pluginmanager.unregister(own)
    config.pluginmanager.register(reporter, "terminalreporter")
    xdist = config.pluginmanager.get_plugin("dsession")
    if xdist is not None:  # it may have kept the one that was there before
        xdist.terminal = xdist.trdist.tr = reporter


class SuiteReporter(TerminalReporter):  # type: ignore[misc]  # final, but pytest has no other way in
    """Show a run by its suites.

    Args:
        config: pytest's.
    """

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config, sys.stdout)
        self._began = self._told = time.monotonic()
        self._done: set[str] = set()
        self._running: dict[str, None] = {}
        self._total = 0
        self._progress: Progress | None = None
        self._task: Any = None
        self._screen: TextIO | None = None
        if self.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb":
            # Of its own: pytest points the usual descriptor elsewhere while a test runs, and the bar moves then, too.
            self._screen = os.fdopen(os.dup(sys.stdout.fileno()), "w")

    # What pytest prints while it works, and this does not.

    def write_fspath_result(self, nodeid: str, res: str, **markup: bool) -> None:
        """Print nothing: letters say less than the bar."""

    def pytest_collection(self) -> None:
        """Print nothing."""

    def report_collect(self, final: bool = False) -> None:  # noqa: FBT001, FBT002 (pytest's signature)
        """Print nothing."""

    def rewrite(self, line: str, **markup: bool) -> None:
        """Print nothing: xdist's lines about its workers."""

    def write_line(self, line: str | bytes, **markup: bool) -> None:
        """Print a line above the bar; those of xdist about its workers are left out."""
        text = line.decode() if isinstance(line, bytes) else line
        if not text.startswith(("created: ", "bringing up nodes", "initialized: ", "ready: ", "scheduling tests")):
            super().write_line(text, **markup)

    def _determine_show_progress_info(self) -> Any:
        return False

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Say what is run, in one line."""
        from _pytest import timing  # noqa: PLC0415 (what the base class would set, of any pytest)

        self._session = session
        self._session_start = timing.Instant()
        run = self._run()
        if run is not None:
            self.write_line(f"seed {run.seed}, backend {run.backend}, libos {run.libos}, records in {self._folder()}")

    @pytest.hookimpl(trylast=True)  # when the session knows the cases
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the bar."""
        if self.config.getoption("collectonly"):
            super().pytest_collection_finish(session)
            return
        self._start_bar(len(session.items))

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Sequence[str]) -> None:  # noqa: ARG002 (xdist's)
        """Start the bar (with xdist)."""
        self._start_bar(len(ids))

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:  # noqa: ARG002
        """Show that a case runs."""
        self._running[nodeid] = None
        self._show()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a phase, as pytest does; tell of a failure at once."""
        self._tests_ran = True
        category, _, _ = self.config.hook.pytest_report_teststatus(report=report, config=self.config)
        self._add_stats(category, [report])
        case = self._case(report)
        if case is not None and is_bad(case.verdict):
            self._tell(case)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Show that a case is done."""
        self._running.pop(nodeid, None)
        self._done.add(nodeid)
        self._show()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Any:
        """End the bar when the last case is done."""
        try:
            return (yield)
        finally:
            self._stop_bar()

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """End the bar."""
        self._stop_bar()
        super().pytest_keyboard_interrupt(excinfo)

    def _report_keyboardinterrupt(self) -> None:
        session = self.config.pluginmanager.get_plugin(SESSION)
        if session is not None and session.interrupted:
            self.write_line("interrupted; what was done so far is kept")
        else:  # errors while collecting, or pytest.exit: pytest says which
            super()._report_keyboardinterrupt()

    def short_test_summary(self) -> None:
        """Show skips by reason, then a line for each suite; called last before the counts."""
        run = self._run()
        if run is None:
            return
        for line in skip_lines(run.cases):
            self.write_line(line)
        for problem in run.problems:
            self.write_line(f"ERROR: {problem}", red=True)
        self.write_line("")
        for line, verdict in suite_lines(run, self._kinds()):
            self.write_line(line, red=is_bad(verdict), green=verdict is Verdict.PASSED)
        for line in libos_lines(run):
            self.write_line(line)
        self.write_line(f"records: {self._folder()}")
        session = self.config.pluginmanager.get_plugin(SESSION)
        if session is not None and session.page is not None:
            self.write_line(f"report: {session.page}")

    def summary_stats(self) -> None:
        """Print pytest's counting line, alone and without its ``=``."""
        parts, _ = self.build_summary_stats_line()
        counts = ", ".join(text for text, _ in parts)
        self._tw.line(f"{counts} in {time.monotonic() - self._began:.2f}s")

    def _run(self) -> RunRecord | None:
        session = self.config.pluginmanager.get_plugin(SESSION)
        return cast("RunRecord", session.run) if session is not None else None

    def _folder(self) -> str:
        session = self.config.pluginmanager.get_plugin(SESSION)
        return str(session.folder.path) if session is not None else ""

    def _case(self, report: pytest.TestReport) -> CaseRecord | None:
        """Give the record of the case whose last phase this is; the last report of a case carries it."""
        data = getattr(report, "testbed", None)
        return None if data is None else CaseRecord.from_dict(json.loads(data))

    def _tell(self, case: CaseRecord) -> None:
        line = f"{case.verdict.upper()}: {case.suite} {case.case}: {case.reason.splitlines()[0] if case.reason else ''}"
        if self._progress is not None:
            self._progress.console.print(line, style="red", markup=False, highlight=False)
        else:
            self.write_line(line, red=True)

    def _start_bar(self, total: int) -> None:
        self._total = total
        if self._screen is None or self._progress is not None or not total:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(file=self._screen),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("collected", total=total, left=self._left())
        self._progress.start()

    def _stop_bar(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self) -> None:
        names = [nodeid.rpartition("/")[2] for nodeid in list(self._running)[:SHOWN_RUNNING]]
        running = ", ".join(names)[-60:]
        if self._progress is not None:
            self._progress.update(
                self._task, completed=len(self._done), description=running or "done", left=self._left()
            )
        elif self._screen is None and self._total and time.monotonic() - self._told >= HEARTBEAT_S:
            self._told = time.monotonic()
            parts = [
                f"{len(self._done)} of {self._total} cases",
                f"{self._told - self._began:.0f} s",
                self._left(),
                running,
            ]
            self.write_line(", ".join(part for part in parts if part))

    def _left(self) -> str:
        """Say how long the run will still take; empty where nobody can know."""
        session = self.config.pluginmanager.get_plugin(SESSION)
        known = cast("str", session.left(self._done)) if session is not None else ""
        done, left = len(self._done), self._total - len(self._done)
        if known or done < SURE_SHARE * self._total or not done:
            return known
        return f"about {(time.monotonic() - self._began) * left / done:.0f} s left"  # by the speed so far

    def _kinds(self) -> dict[str, str]:
        """Read ``SUITE_KIND`` of the packages of the suites that ran."""
        session = self.config.pluginmanager.get_plugin(SESSION)
        return cast("dict[str, str]", session.kinds()) if session is not None else {}


def suite_lines(run: RunRecord, kinds: dict[str, str]) -> list[tuple[str, Verdict]]:
    """Give one line for each suite, in the order of their first case.

    Args:
        run: The run.
        kinds: Name of a suite to what it calls itself; default ``TestSuite``.
    """
    return [(_suite_line(found, kinds.get(found.name, KIND)), found.verdict) for found in by_suite(run)]


def _suite_line(found: Tally, kind: str) -> str:
    name = f"{kind} {found.name}".ljust(NAME_WIDTH)
    count = f"{found.cases:>3} case" + ("s" if found.cases != 1 else " ")
    same = f"{found.identical}x identical   " if found.identical else ""
    times = f"{found.virtual_s:.1f} virtual s in {found.wall_s:.1f} s"
    return f"{found.word}: {name} {count}  {same}{times}{_counts(found)}"


def libos_lines(run: RunRecord) -> list[str]:
    """Give one line for each LibOS, with its cases over all suites."""
    return [f"LibOS {found.name}: {found.cases} cases, {found.in_words}" for found in by_libos(run)]


def skip_lines(cases: Iterable[CaseRecord]) -> list[str]:
    """Give one line for each reason of a skip, with how many cases it has."""
    reasons = Counter((case.suite, case.reason) for case in cases if case.verdict is Verdict.SKIPPED)
    return [f"SKIP: {suite} [{count}] {reason}" for (suite, reason), count in sorted(reasons.items())]


def _counts(found: Tally) -> str:
    """Count what is not simply passed, and the cases that were compared only in part."""
    seen = {str(verdict): count for verdict, count in found.counts.items() if verdict is not Verdict.PASSED}
    seen["compared in part (digest_without)"] = found.compared_in_part
    return "".join(f", {count} {word}" for word, count in sorted(seen.items()) if count)
