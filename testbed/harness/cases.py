# SPDX-License-Identifier: MIT
"""A case: executed as often as asked for, each time afresh, compared, and reported to pytest once."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from typing import TYPE_CHECKING

import pytest
from _pytest.runner import runtestprotocol  # pytest-rerunfailures and pytest-xdist take it from here, too

from testbed.backends.cloudlab.variables import run_words
from testbed.backends.guest import LOG_FOLLOWS
from testbed.harness import determinism, packets
from testbed.harness.execution import KEY, Execution
from testbed.harness.failures import failure_of
from testbed.harness.flavors import flavor_of
from testbed.harness.identity import CaseId, case_id
from testbed.harness.records import CaseRecord, ExecutionRecord
from testbed.harness.rerun import rerun_line
from testbed.paths import program
from testbed.verdict import Verdict, is_bad, worst

if TYPE_CHECKING:
    from testbed.backends.base import Backend
    from testbed.harness.runfolder import RunFolder
    from testbed.harness.settings import Settings

LAST_PACKETS = 10
EVIDENCE_LINES = 60
REPORT_ATTRIBUTE = "testbed"
# Executions that ended so are the whole story: another one would say the same, or wait as long.
_FINAL = frozenset({Verdict.SKIPPED, Verdict.ERROR, Verdict.TIMED_OUT})
_COMPARED = frozenset({Verdict.PASSED, Verdict.XFAILED, Verdict.FAILED})


class Case:
    """One case in the process that executes it.

    Args:
        item: The test.
        backend, settings, run: How and where it is executed.
    """

    def __init__(self, item: pytest.Item, *, backend: Backend, settings: Settings, run: RunFolder) -> None:
        self.item = item
        self.id: CaseId = case_id(item.path, _plain_nodeid(item))
        self.backend = backend
        self.settings = settings
        self.run = run
        self.executions: list[Execution] = []

    def execute(self, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """Execute it as often as asked for, and give the reports of the whole: one set, for all executions.

        Args:
            nextitem: What is executed after it; decides which fixtures of wider scope stay.
        """
        repeats = self.settings.repeats(self.backend)
        sections = list(self.item._report_sections)  # noqa: SLF001
        properties = list(self.item.user_properties)
        for number in range(1, repeats + 1):
            self.item._report_sections[:] = sections  # noqa: SLF001
            self.item.user_properties[:] = properties
            # The wider fixtures stay between executions: what comes "next" is the same module or class.
            following = nextitem if number == repeats else self.item.parent
            execution = self._execute(number, following)  # type: ignore[arg-type]
            if execution.verdict in _FINAL:
                if number < repeats:
                    self._tear_down(execution, nextitem)
                break
        record = self._combine()
        return self._reports(record)

    def _execute(self, number: int, nextitem: pytest.Item | None) -> Execution:
        execution = Execution(self.item, self.id, number, backend=self.backend, settings=self.settings, run=self.run)
        self.executions.append(execution)
        self.item.stash[KEY] = execution
        random.seed(execution.seed)  # what a test, or scapy for it, draws on the host is part of the case
        try:
            reports = runtestprotocol(self.item, log=False, nextitem=nextitem)
        except BaseException:  # Ctrl-C: end the network now, whatever it says to that, and keep what there is
            state = self.item.session._setupstate  # noqa: SLF001 (pytest would do the same at its end, but fail there)
            pytest.CallInfo.from_call(lambda: state.teardown_exact(None), when="teardown", reraise=KeyboardInterrupt)
            execution.interrupted()
            raise
        execution.finish(reports)
        return execution

    def _tear_down(self, execution: Execution, nextitem: pytest.Item | None) -> None:
        """Tear down what the last execution would have torn down, had it come so far."""
        state = self.item.session._setupstate  # noqa: SLF001
        call = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown")
        if call.excinfo is not None:
            execution.add(self.item.ihook.pytest_runtest_makereport(item=self.item, call=call))

    def _combine(self) -> CaseRecord:
        """Compare the executions and settle the verdict of the case."""
        judged = [(execution.verdict, execution.reason) for execution in self.executions]
        difference = self._difference()
        if difference is not None:
            judged.append((Verdict.NON_DETERMINISTIC, difference.splitlines()[0]))
        ends = list(dict.fromkeys(_end(execution) for execution in self.executions))
        if len(ends) > 1 and self.backend.promises_identical_bits:  # one passed, another was skipped or xfailed
            judged.append((Verdict.NON_DETERMINISTIC, f"executions ended differently: {', '.join(ends)}"))
        verdict = worst(verdict for verdict, _ in judged)
        records = [execution.record for execution in self.executions if execution.record is not None]
        digests = {record.digest for record in records}
        self._drop_records(verdict)
        summaries = [self._summary(execution) for execution in self.executions]
        folder = next((summary.folder for summary in summaries if summary.folder is not None), None)
        return CaseRecord(
            nodeid=self.id.nodeid,
            suite=self.id.suite,
            case=self.id.name,
            verdict=verdict,
            reason=next(reason for found, reason in judged if found is verdict),
            seed=self.id.seed(self.settings.seed),
            digest=digests.pop() if len(digests) == 1 and self.backend.promises_identical_bits else None,
            left_out=sorted({part for record in records for part in record.left_out}),
            executions=summaries,
            difference=difference,
            libos=flavor_of(self.item) or "",
            kernel=next((record.kernel for record in records if record.kernel), ""),
            artifacts={name: sha256 for record in records for name, sha256 in record.artifacts.items()},
            virtual_s=sum(summary.virtual_s for summary in summaries),
            wall_s=sum(summary.wall_s for summary in summaries),
            folder=folder.rpartition("/")[0] if folder is not None else None,
        )

    def _summary(self, execution: Execution) -> ExecutionRecord:
        summary = execution.summary()
        kept = execution.folder is not None and execution.folder.exists()
        return summary if kept else dataclasses.replace(summary, folder=None)

    def _difference(self) -> str | None:
        """Tell how two executions that came to an end differ; None where they agree or nothing was promised."""
        if not self.backend.promises_identical_bits:
            return None
        done = [execution for execution in self.executions if execution.verdict in _COMPARED and execution.folder]
        for other in done[1:]:
            first = done[0]
            if first.folder is None or other.folder is None or first.record is None or other.record is None:
                continue
            if first.record.digest != other.record.digest:
                found = determinism.compare(first.folder, other.folder)
                return determinism.describe(found, first.number, other.number)
        return None

    def _drop_records(self, verdict: Verdict) -> None:
        """Drop the records of a good case that say the same as its first one."""
        if self.settings.keep or is_bad(verdict):
            return
        for execution in self.executions[1:]:
            if execution.folder is not None:
                shutil.rmtree(execution.folder, ignore_errors=True)

    def _reports(self, record: CaseRecord) -> list[pytest.TestReport]:
        """Give pytest one set of reports: those of the worst execution, with the sums and the verdict of all."""
        shown = next(
            execution for execution in self.executions if execution.verdict is worst(e.verdict for e in self.executions)
        )
        reports = shown.reports
        for report in reports:
            report.duration = sum(
                other.duration
                for execution in self.executions
                for other in execution.reports
                if other.when == report.when
            )
            report.user_properties += [
                ("verdict", str(record.verdict)),
                ("digest", record.digest or ""),
                ("seed", str(record.seed)),
                ("record", record.folder or ""),
            ]
        if is_bad(record.verdict):
            record.failure = next((found for found in map(failure_of, reports) if found is not None), None)
            self._show_failure(reports, record, shown)
        # As text: xdist sends a report's attributes to its controller, but knows no enumerations.
        setattr(reports[-1], REPORT_ATTRIBUTE, json.dumps(dataclasses.asdict(record)))
        return reports

    def _show_failure(self, reports: list[pytest.TestReport], record: CaseRecord, shown: Execution) -> None:
        """Make sure that a report fails, and put the evidence into its sections."""
        failed = next((report for report in reports if report.failed), None)
        if failed is None:
            failed = next((report for report in reports if report.when == "call"), reports[0])
            failed.outcome = "failed"
            failed.__dict__.pop("wasxfail", None)
            failed.longrepr = f"{record.verdict}: {record.difference or record.reason}"
            if record.difference is not None and record.verdict is not Verdict.NON_DETERMINISTIC:
                failed.longrepr = f"{record.verdict}: {record.reason}"
        sections = [
            ("verdict", f"{record.verdict} in execution {shown.number} of {len(self.executions)}: {record.reason}")
        ]
        if record.difference is not None:
            sections.append(("difference of two executions", record.difference))
        sections += self._evidence(shown, told=LOG_FOLLOWS in failed.longreprtext)
        sections.append(("replay", self.replay()))
        failed.sections[:0] = sections

    def _evidence(self, shown: Execution, *, told: bool) -> list[tuple[str, str]]:
        """Give the kernel's words (unless the failure has them), the last packets and where everything lies."""
        if shown.recorder is None or shown.folder is None:
            return []
        sections = []
        log = shown.evidence or "\n".join(shown.recorder.kernel_text.splitlines()[-EVIDENCE_LINES:])
        if not log and not told and shown.verdict is Verdict.CRASHED and shown.recorder.console_path.exists():
            log = "\n".join(shown.recorder.console_path.read_text(errors="replace").splitlines()[-EVIDENCE_LINES:])
        if log:
            sections.append(("kernel log", log))
        lines = packets.last_of_all(shown.folder, LAST_PACKETS, shown.recorder.record.epoch_ns)
        if lines:
            sections.append((f"last {len(lines)} packets", "\n".join(lines)))
        sections.append(("record", str(shown.folder)))
        return sections

    def replay(self) -> str:
        """Give the command that executes this case again, the same."""
        ours = bool(self.item.config.getoption("--testbed-terminal"))
        on_nodes = self.settings.backend == "cloudlab"
        return rerun_line(
            self.id.nodeid,
            seed=self.settings.seed,
            repeat=self.settings.repeats(self.backend),
            backend=self.settings.backend,
            libos=self.settings.libos,
            options=self.settings.rerun_options(),
            program=program() if ours or on_nodes else None,
            experiment=run_words() if on_nodes else None,
        )


def _end(execution: Execution) -> str:
    """Say how an execution ended; one that left nothing to compare is another end."""
    return execution.verdict if execution.record is not None else f"{execution.verdict} without a record"


def _plain_nodeid(item: pytest.Item) -> str:
    """Give the node id without the group that ``xdist --dist loadgroup`` appends: a seed must not depend on it."""
    marker = item.get_closest_marker("xdist_group")
    group = None if marker is None else (marker.args[0] if marker.args else marker.kwargs.get("name"))
    return item.nodeid if group is None else item.nodeid.removesuffix(f"@{group}")
