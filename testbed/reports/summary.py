# SPDX-License-Identifier: MIT
"""A run as Markdown: for the page of a CI's job, a comment, or a mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.harness.rerun import run_line
from testbed.reports.evidence import assertion, place
from testbed.reports.tally import by_libos, by_suite, clock_word, expected_failures, tally
from testbed.reports.templates import template
from testbed.reports.text import cell, code, fenced, shortened
from testbed.verdict import Verdict, is_bad

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.harness.records import CaseRecord, RunRecord
    from testbed.reports.tally import Tally

SHOWN_FAILURES = 10
SHOWN_SKIPS = 20
ASSERTION_LIMIT = 2_000
"""Characters of an assertion; ten of them stay far below GitHub's limit of 1 MiB for a step."""


def render(run: RunRecord) -> str:
    """Write a run as Markdown (GitHub's flavour); whatever text cases have, none of it is taken as markup."""
    bad = [case for case in run.cases if is_bad(case.verdict)]
    skips: dict[tuple[str, str], int] = {}
    for case in run.cases:
        if case.verdict is Verdict.SKIPPED:
            skips[case.suite, case.reason] = skips.get((case.suite, case.reason), 0) + 1
    return template("summary.md.j2", autoescape=False, code=code, cell=cell, fenced=fenced).render(
        run=run,
        whole=tally("all", run.cases),
        suites=by_suite(run),
        libos=by_libos(run),
        expected=expected_failures(run)[:SHOWN_SKIPS],
        clock=clock_word(run),
        ratio=_ratio,
        failures=[_failure(run, case) for case in bad[:SHOWN_FAILURES]],
        more_failures=max(0, len(bad) - SHOWN_FAILURES),
        skips=[(suite, reason, count) for (suite, reason), count in sorted(skips.items())[:SHOWN_SKIPS]],
        skipped=sum(skips.values()),
        determinism=determinism(run.cases),
        environment=_environment(run),
    )


def determinism(cases: Iterable[CaseRecord]) -> str:
    """Say in a sentence what was compared, and with what result."""
    found = list(cases)
    different = sum(case.verdict is Verdict.NON_DETERMINISTIC for case in found)
    agreed = [case for case in found if len(case.executions) > 1 and case.digest is not None]
    if different:
        return f"{different} of {_cases(found)} gave different bits in two executions."
    if not agreed:
        return "Nothing was compared: each case was executed once, or the backend promises no identical bits."
    times = min(len(case.executions) for case in agreed)
    in_part = sum(bool(case.left_out) for case in agreed)
    text = f"{_cases(agreed)} executed {times} times or more, with the same bits every time"
    return f"{text}; {in_part} of them with named parts left out." if in_part else f"{text}."


def _ratio(found: Tally) -> str:
    """Write how much faster than the wall's the networks' clock ran."""
    return f"{found.virtual_s / found.wall_s:.3g}" if found.wall_s > 0 else "-"


def _cases(found: Sequence[CaseRecord]) -> str:
    return f"{len(found)} case{'s' if len(found) != 1 else ''}"


def _failure(run: RunRecord, case: CaseRecord) -> dict[str, str]:
    file, line = place(case)
    return {
        "verdict": str(case.verdict),
        "nodeid": case.nodeid,
        "place": f"{file}:{line}" if line is not None else file,
        "assertion": shortened(assertion(case), ASSERTION_LIMIT),
        "replay": run_line(run, case),
        "record": case.folder or "",
    }


def _environment(run: RunRecord) -> list[tuple[str, str]]:
    env = run.environment
    workers, cpus = env.get("workers", "?"), env.get("cpus", "?")
    return [
        ("seed", str(run.seed)),
        ("backend", run.backend),
        ("library OS", run.libos),
        ("kernel", ", ".join(env.get("kernels", []))),
        ("artifacts", ", ".join(sorted(env.get("artifacts", {})))),
        ("host", f"{env.get('host_system', '')}, kernel {env.get('host_kernel', '')}, {env.get('machine', '')}"),
        ("cases at a time", f"{workers} on {cpus} CPUs"),
        ("testbed", f"{env.get('testbed', '')}, Python {env.get('python', '')}, pytest {env.get('pytest', '')}"),
        ("started", run.started),
    ]
