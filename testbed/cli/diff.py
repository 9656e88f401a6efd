# SPDX-License-Identifier: MIT
"""``testbed diff``: two runs, case by case, and where their records first differ."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli.output import line, note, print_json
from testbed.errors import ConfigError, ExitCode, TestbedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from testbed.harness.determinism import Difference
    from testbed.harness.records import RunRecord
    from testbed.reports.diff import CaseDiff, How

_MANY = 100  # cases from which on comparing them takes more than a moment
_PARTS = ("commands", "kernel", "process:", "capture:")
_WORDS = ("same", "differs", "verdict", "appeared", "vanished", "unreadable")


def diff(
    run_a: Annotated[str, typer.Argument(help="A run: folder, id, beginning of an id, or 'latest'.", metavar="RUN_A")],
    run_b: Annotated[str, typer.Argument(help="The run to compare it with.", metavar="RUN_B")],
    case: Annotated[
        str | None, typer.Argument(help="One case: node id or a part that only one has.", metavar="CASE")
    ] = None,
    *,
    context: Annotated[
        int, typer.Option("--context", "-C", min=0, help="Frames, lines or commands to show before a difference.")
    ] = 3,
    no_times: Annotated[
        bool, typer.Option("--no-times", help="Do not count what differs in time alone, as between two kernels.")
    ] = False,
    since_s: Annotated[
        float | None,
        typer.Option("--since", help="Leave out frames before this time, s; 0 is the end of bring-up.", metavar="T"),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this part: commands, kernel, process:PROGRAM, capture:LINK; repeatable.", metavar="PART"
        ),
    ] = None,
    brief: Annotated[bool, typer.Option("--brief", "-q", help="One line for each case.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON.")] = False,
) -> None:
    """Compare two runs. Exit status: 0 the same, 1 different, 4 a run or record cannot be read."""
    from testbed.harness.lookup import open_run
    from testbed.reports.diff import How, environments

    for name in only or ():
        if name not in _PARTS[:2] and not name.startswith(_PARTS[2:]):
            raise ConfigError(f"--only {name!r} names no part of a record", hint=f"{', '.join(_PARTS)}...")
    left, right = open_run(run_a), open_run(run_b)
    since_ns = None if since_s is None else round(since_s * 10**9)
    how = How(times=not no_times, since_ns=since_ns, only=tuple(only or ()))
    found = _one(left, right, case, how) if case else _watched(_all(left, right, how), left[1], right[1])
    if as_json:
        print_json({"a": str(left[0]), "b": str(right[0]), "cases": [_plain(entry) for entry in found]})
        raise typer.Exit(_status(collections.Counter(entry.word for entry in found)))
    line(f"A: {left[0]}  {left[1].started}  {len(left[1].cases)} cases")
    line(f"B: {right[0]}  {right[1].started}  {len(right[1].cases)} cases")
    for text in environments(left[1], right[1]):
        line(f"   {text}")
    count: collections.Counter[str] = collections.Counter()
    for entry in found:
        count[entry.word] += 1
        if not entry.same or case:
            for text in _lines(entry, context, brief=brief):
                line(text)
    line(", ".join(f"{count[word]} {_LABELS.get(word, word)}" for word in _WORDS if count[word] or word == "same"))
    raise typer.Exit(_status(count))


_LABELS = {"differs": "differ", "verdict": "with another verdict"}


def _status(count: collections.Counter[str]) -> int:
    if count["unreadable"]:
        return int(ExitCode.USAGE)
    return int(ExitCode.OK if count.total() == count["same"] else ExitCode.FAILED)


def _all(left: tuple[Path, RunRecord], right: tuple[Path, RunRecord], how: How) -> Iterator[CaseDiff]:
    """Compare all cases; only the verdicts where a backend promises no identical bits."""
    from testbed.reports.diff import compare_runs

    loose = sorted({run.backend for _, run in (left, right) if not _promises(run.backend)})
    if loose:
        who = " and ".join(loose)
        note(f"backend {who} promises no identical bits: only verdicts are compared; name a case for more")
    return compare_runs(left, right, how, records=not loose)


def _watched(found: Iterable[CaseDiff], one: RunRecord, two: RunRecord) -> list[CaseDiff]:
    """Compare case by case; of many cases it is shown how far that is."""
    from testbed.cli.progress import progress
    from testbed.reports.diff import cases

    total = len(cases(one).keys() | cases(two).keys())
    if total < _MANY:
        return list(found)
    entries = []
    with progress("diff") as report:
        for done, entry in enumerate(found, start=1):
            entries.append(entry)
            report("cases", done, total)
    return entries


def _one(left: tuple[Path, RunRecord], right: tuple[Path, RunRecord], text: str, how: How) -> list[CaseDiff]:
    """Compare one case, which at least one of the runs has."""
    from testbed.harness.lookup import find_case
    from testbed.reports.diff import CaseDiff, cases, compare_case

    try:
        chosen = find_case(left[1], text)
    except ConfigError:
        try:
            chosen = find_case(right[1], text)
        except ConfigError:
            chosen = find_case(left[1], text)  # its words are about the first run
    name = f"{chosen.suite}/{chosen.case}"
    entry = CaseDiff(name, cases(left[1]).get(name), cases(right[1]).get(name))
    compare_case(entry, left[0], right[0], how)
    return [entry]


def _promises(name: str) -> bool:
    from testbed.backends.registry import backend

    try:
        return backend(name).promises_identical_bits
    except TestbedError:  # a backend of somebody's conftest.py
        return True


def _lines(entry: CaseDiff, context: int, *, brief: bool) -> Iterable[str]:
    """Show one case."""
    from testbed.harness.determinism import describe
    from testbed.reports.sides import evidence

    verdicts = " -> ".join(str(case.verdict) if case is not None else "-" for case in (entry.one, entry.two))
    reason = next((case.reason for case in (entry.two, entry.one) if case is not None and case.reason), "")
    told = f"{entry.word.upper():10} {entry.name}"
    if entry.verdict_changed or entry.one is None or entry.two is None:
        told += f": {verdicts}" + (f" ({reason})" if reason else "")
    yield told
    if entry.problem:
        yield f"  cannot be compared: {entry.problem}"
    if not entry.differences or entry.left is None or entry.right is None:
        return
    first = entry.differences[0]
    yield f"  {describe(entry.differences, 'A', 'B').splitlines()[0]}"
    if brief:
        return
    try:
        yield from (f"  {text}" for text in evidence(first, entry.left, entry.right, context=context))
    except (OSError, ValueError, LookupError) as error:
        yield f"  cannot be shown: {type(error).__name__}: {error}"
    shown = [first]
    for found in _tangible(entry.differences, first):
        shown.append(found)
        yield f"  {describe([found], 'A', 'B').splitlines()[0].replace('first difference', KINDS[found.kind], 1)}"
        try:
            yield from (f"  {text}" for text in evidence(found, entry.left, entry.right, context=context))
        except (OSError, ValueError, LookupError) as error:
            yield f"  cannot be shown: {type(error).__name__}: {error}"
    others = [found.where for found in entry.differences if found not in shown]
    if others:
        yield f"  and {len(others)} more: {', '.join(others[:6])}{', ...' if len(others) > 6 else ''}"


KINDS = {"packet": "first frame that differs", "process": "first byte of a process that differs"}


def _tangible(differences: Sequence[Difference], first: Difference) -> Iterator[Difference]:
    """Give the first frame and the first byte of a process that differ, where the earliest difference is neither.

    Of two seeds, say, the earliest difference is that they are two: what the wire and the programs made of it is what
    somebody looks for.
    """
    if first.kind in KINDS:
        return
    for kind in KINDS:
        found = next((entry for entry in differences if entry.kind == kind), None)
        if found is not None:
            yield found


def _plain(entry: CaseDiff) -> dict[str, Any]:
    import dataclasses

    return {
        "case": entry.name,
        "what": entry.word,
        "verdicts": [None if case is None else str(case.verdict) for case in (entry.one, entry.two)],
        "records": [None if folder is None else str(folder) for folder in (entry.left, entry.right)],
        "problem": entry.problem,
        "differences": [dataclasses.asdict(found) for found in entry.differences],
    }
