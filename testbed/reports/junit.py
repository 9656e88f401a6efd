# SPDX-License-Identifier: MIT
"""JUnit XML of a run: the format that CIs read, with failures at their line of the source.

Source: the common format as github.com/testmoapp/junitxml documents it; ``schema/junit.xsd`` tells a machine the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from testbed.harness.records import JUNIT_FILE, write_atomically
from testbed.harness.rerun import run_line
from testbed.reports.evidence import assertion, evidence, place
from testbed.reports.tally import by_suite
from testbed.reports.text import plain
from testbed.verdict import Verdict, is_bad

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.harness.records import CaseRecord, RunRecord

# A failure is what the thing under test did, an error is that the test could not be carried through.
_ELEMENT = {
    Verdict.FAILED: "failure",
    Verdict.NON_DETERMINISTIC: "failure",
    Verdict.CRASHED: "error",
    Verdict.TIMED_OUT: "error",
    Verdict.ERROR: "error",
    Verdict.SKIPPED: "skipped",
    Verdict.XFAILED: "skipped",
    Verdict.NOT_RUN: "skipped",
}
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}
_PROBLEMS = "testbed"
_EXCEPTION = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")


def write(run: RunRecord, folder: Path) -> Path:
    """Write ``junit.xml`` into a run's folder, in one step.

    Returns:
        The file.

    Raises:
        OSError: As the system says; an older file then stands unchanged.
    """
    path = folder / JUNIT_FILE
    write_atomically(path, render(run, folder))
    return path


def render(run: RunRecord, folder: Path) -> str:
    """Write a run as JUnit XML.

    Args:
        run: The run.
        folder: Its folder, for the records of what went wrong.
    """
    timestamp = run.started[:19]  # the common format has no offset
    root = ET.Element("testsuites", name="testbed")
    for suite in by_suite(run):
        cases = [case for case in run.cases if case.suite == suite.name]
        element = ET.SubElement(root, "testsuite", name=plain(suite.name), timestamp=timestamp)
        _properties(element, _facts(run))
        for case in cases:
            _case(element, run, case, folder)
        _count(element, sum(case.wall_s for case in cases))
    if run.problems:
        element = ET.SubElement(root, "testsuite", name=_PROBLEMS, timestamp=timestamp)
        for number, problem in enumerate(run.problems, start=1):
            child = ET.SubElement(element, "testcase", name=f"problem {number}", classname=_PROBLEMS, time="0.000")
            ET.SubElement(child, "error", message=_line(problem), type="error").text = plain(problem)
        _count(element, 0.0)
    _count(root, run.wall_s)
    root.set("timestamp", timestamp)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, run: RunRecord, case: CaseRecord, folder: Path) -> None:
    file, line = place(case)
    module, _, test = case.nodeid.partition("::")
    element = ET.SubElement(
        suite,
        "testcase",
        name=plain(test),
        classname=plain(module.removesuffix(".py").replace("/", ".")),
        time=f"{case.wall_s:.3f}",
        file=plain(file),
    )
    if line is not None:
        element.set("line", str(line))
    seed = "" if case.seed is None else str(case.seed)
    facts = {"verdict": str(case.verdict), "digest": case.digest or "", "seed": seed, "record": case.folder or ""}
    if case.libos:
        facts["libos"] = case.libos
    if is_bad(case.verdict):
        facts["replay"] = run_line(run, case)
    _properties(element, facts)
    if case.verdict not in _ELEMENT:
        return
    found = ET.SubElement(element, _ELEMENT[case.verdict], message=_line(f"{case.verdict}: {case.reason}"))
    found.set("type", _type(case))
    if is_bad(case.verdict):
        found.text = plain(_story(run, case, file, line))
        _outputs(element, case, folder)


def _story(run: RunRecord, case: CaseRecord, file: str, line: int | None) -> str:
    """Tell what went wrong: place and assertion first, for readers that show only the beginning."""
    where = f"{file}:{line}" if line is not None else file
    parts = [f"{where}: {case.verdict}: {assertion(case)}"]
    if case.difference is not None:
        parts.append(case.difference)
    if case.failure is not None:
        parts.append(case.failure.text)
    return "\n\n".join([*parts, f"replay: {run_line(run, case)}"])


def _outputs(element: ET.Element, case: CaseRecord, folder: Path) -> None:
    """Add the kernel's words and what processes wrote; on both streams each says whose it is."""
    seen = evidence(folder, case)
    out = [f"== record\n{seen.folder}"] if seen.folder is not None else []
    out += [f"== kernel log\n{seen.kernel_log}"] if seen.kernel_log else []
    out += [f"== {process.title}\n{process.stdout}" for process in seen.processes]
    err = [f"== {process.title}\n{process.stderr}" for process in seen.processes if process.stderr]
    for name, texts in (("system-out", out), ("system-err", err)):
        if texts:
            ET.SubElement(element, name).text = plain("\n".join(texts))


def _type(case: CaseRecord) -> str:
    """Name the exception of a failed test, else the verdict."""
    found = _EXCEPTION.match(case.reason) if case.verdict in {Verdict.FAILED, Verdict.ERROR} else None
    return found[1] if found else str(case.verdict)


def _facts(run: RunRecord) -> Mapping[str, str]:
    env = run.environment
    return {
        "seed": str(run.seed),
        "repeat": str(run.repeat),
        "backend": run.backend,
        "libos": run.libos,
        "kernels": " ".join(env.get("kernels", [])),
        "testbed": str(env.get("testbed", "")),
        "host": f"{env.get('host_system', '')} {env.get('host_kernel', '')}".strip(),
    }


def _properties(element: ET.Element, facts: Mapping[str, str]) -> None:
    parent = ET.SubElement(element, "properties")
    for name, value in facts.items():
        ET.SubElement(parent, "property", name=name, value=_line(value))


def _count(element: ET.Element, wall_s: float) -> None:
    """Set the counts of all cases below an element."""
    cases: Sequence[ET.Element] = element.findall(".//testcase")
    element.set("tests", str(len(cases)))
    for name, child in _COUNTED.items():
        element.set(name, str(sum(case.find(child) is not None for case in cases)))
    element.set("time", f"{wall_s:.3f}")


def _line(text: str) -> str:
    """Put text into one line, as an attribute's value is anyway (XML 1.0, 3.3.3)."""
    return " ".join(plain(text).split())
