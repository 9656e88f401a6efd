# SPDX-License-Identifier: MIT
"""A run as one self-contained HTML page that asks no network for anything."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import struct
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from testbed import paths
from testbed.errors import TestbedError
from testbed.harness.records import load_run, write_atomically
from testbed.harness.rerun import again_line
from testbed.reports.bounds import BAD, GOOD
from testbed.reports.detail import Wanted, bounds_of, detail
from testbed.reports.marked import CONTROL, breakable, marked
from testbed.reports.oracle import oracles
from testbed.reports.symbols import SYMBOLS
from testbed.reports.tally import by_libos, clock_word, expected_failures
from testbed.verdict import Verdict, is_bad, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jinja2 import Template

    from testbed.harness.records import CaseRecord, RunRecord
    from testbed.reports.tally import Tally

PAGE_FILE = "report.html"
SCRIPTS = (
    "text",
    "svg",
    "list",
    "failure",
    "processes",
    "ladder",
    "packets",
    "curves",
    "libos",
    "record",
    "case",
    "page",
)
BAD_WITH_PACKETS = 20
"""Cases whose packets are in the page that a run writes at its end: the first bad ones."""

_TEMPLATES = Path(__file__).parent / "templates"
_WORKER_CASES = 24
"""Cases below which further processes would cost more than they bring."""
_LEVEL = 6
# What a file with anything in it can raise in those who read it.
_DAMAGED = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error)


@dataclass(frozen=True)
class _Packed:
    """A case, ready for the page: its data, compressed; its topology apart, as many cases share one."""

    data: str
    topology: str | None


def write(
    run_folder: Path,
    target: Path | None = None,
    *,
    every_packet: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the page of a run.

    Args:
        run_folder: The run's folder.
        target: The file; None is ``report.html`` in the run's folder.
        every_packet: Whether the captures of all cases are read; else only those of the first bad ones, which is
            quick enough for the end of a run.
        progress: Called with the number of cases that are done, and of all.

    Returns:
        The file.

    Raises:
        ConfigError: There is no such run.
        OSError: The file cannot be written.
    """
    run = load_run(run_folder)
    file = target or run_folder / PAGE_FILE
    chosen = _with_packets(run.cases, every=every_packet)
    jobs = [
        (run_folder, case, Wanted(packets, bounds_of(case), oracle=oracle))
        for case, packets, oracle in zip(run.cases, chosen, oracles(run.cases), strict=True)
    ]
    packed = []
    for done, entry in enumerate(_packed(jobs, workers=every_packet), start=1):
        packed.append(entry)
        if progress is not None:
            progress(done, len(jobs))
    text = _render(run, run_folder, file, packed, chosen)
    write_atomically(file, text.encode("utf-8", "backslashreplace").decode())  # a name may hold half a character
    return file


def _with_packets(cases: Sequence[CaseRecord], *, every: bool) -> list[bool]:
    """Say for each case whether its captures are read."""
    left = BAD_WITH_PACKETS
    chosen = []
    for case in cases:
        bad = is_bad(case.verdict)
        chosen.append(every or (bad and left > 0))
        left -= bad
    return chosen


def _packed(jobs: Sequence[tuple[Path, CaseRecord, Wanted]], *, workers: bool) -> Iterator[_Packed]:
    cpus = len(os.sched_getaffinity(0))
    if not workers or cpus < 2 or len(jobs) < _WORKER_CASES:
        yield from (_pack(*job) for job in jobs)
        return
    with ProcessPoolExecutor(max_workers=cpus) as pool:
        yield from pool.map(_pack_job, jobs, chunksize=4)


def _pack_job(job: tuple[Path, CaseRecord, Wanted]) -> _Packed:
    return _pack(*job)


def _pack(run_folder: Path, case: CaseRecord, wanted: Wanted) -> _Packed:
    """Collect a case; one whose record somebody has damaged must not cost the page of all others."""
    data = detail(run_folder, case, Wanted(packets=False, bounds=wanted.bounds, records=False, oracle=wanted.oracle))
    try:
        data = detail(run_folder, case, wanted)
    except _DAMAGED as error:
        data["problem"] = f"its record cannot be read: {type(error).__name__}: {error}"
    topology = data.pop("topology", None)
    text = None if topology is None else json.dumps(topology, sort_keys=True)
    if text is not None:
        data["topology"] = _topology_id(text)
    return _Packed(_deflated(data), text)


def _deflated(data: object) -> str:
    """Compress JSON (raw deflate, RFC 1951) and write it as base64: nothing in it can end its element.

    Lone surrogates, which stand for bytes that are no UTF-8, survive as escapes.
    """
    compressor = zlib.compressobj(_LEVEL, wbits=-15)
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode()
    return base64.b64encode(compressor.compress(text) + compressor.flush()).decode()


def _topology_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _render(run: RunRecord, run_folder: Path, file: Path, packed: Sequence[_Packed], chosen: Sequence[bool]) -> str:
    texts = dict.fromkeys(entry.topology for entry in packed if entry.topology is not None)
    drawings = {_topology_id(text): _drawing(text) for text in texts}
    style = "\n".join(
        [_asset("report.css"), _asset("percentiles.css"), *dict.fromkeys(css for _, css in drawings.values() if css)]
    )
    script = "\n".join(_asset(f"report/{name}.js") for name in SCRIPTS)
    shown = [case for case, packets in zip(run.cases, chosen, strict=True) if not packets and case.executions]
    page = {
        "symbols": SYMBOLS,
        "base": _base(run_folder, file),
        "run": run_folder.name,
        "again": [again_line(run, case, _run_word(run_folder), f"{case.suite}/{case.case}") for case in run.cases],
        "clock": clock_word(run),
        "packetsOf": [int(packets) for packets in chosen],
        "command": f"testbed report {_run_word(run_folder)}",
    }
    return _template().render(
        run=run,
        name=run_folder.name,
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        page=_script_json(page),
        cases=[_row(index, case) for index, case in enumerate(run.cases)],
        data=[entry.data for entry in packed],
        drawings={key: _deflated({"svg": svg}) for key, (svg, _) in drawings.items()},
        counts=_counts(run.cases),
        suites=_suites(run.cases),
        totals=_totals(run),
        clock=clock_word(run),
        libos=[_group(found) for found in by_libos(run)],
        expected=expected_failures(run),
        without_packets=len(shown),
        report_command=page["command"],
        good=GOOD,
        bad=BAD,
        symbols=SYMBOLS,
        is_bad=is_bad,
        verdicts=list(Verdict),
    )


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 (not every command needs it)

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["marked"] = marked
    environment.filters["breakable"] = breakable
    environment.filters["seconds"] = _seconds
    environment.filters["ratio"] = _ratio
    return environment.get_template("report.html.j2")


@functools.cache
def _asset(name: str) -> str:
    """Read a part of the page that is our own; its comments stay."""
    return (_TEMPLATES / name).read_text(encoding="utf-8").replace("@CONTROL@", CONTROL)


def _csp_hash(text: str) -> str:
    """Give the source expression that allows just this text (CSP level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _script_json(value: object) -> str:
    """Write JSON that can stand in a ``<script>``: nothing in it looks like markup."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _drawing(text: str) -> tuple[str, str]:
    """Draw a topology: the SVG, and its style sheet apart, which the page's policy allows by its hash only once."""
    from testbed.reports.topology_svg import svg  # noqa: PLC0415 (not every command draws)
    from testbed.scenarios.topology import Topology  # noqa: PLC0415

    try:
        drawing = svg(Topology.from_dict(json.loads(text)))
    except TestbedError as error:
        return f"no drawing: {error}", ""
    before, _, rest = drawing.partition("<style>")
    css, _, after = rest.partition("</style>")
    return before + after, css


def _base(run_folder: Path, file: Path) -> str:
    """Give the run's folder as seen from the page, for links: it never looks like a scheme."""
    return "./" + quote(os.path.relpath(run_folder.resolve(), file.resolve().parent)) + "/"


def _run_word(run_folder: Path) -> str:
    """Write a run for a command line: its name where that is enough."""
    import shlex  # noqa: PLC0415

    folder = run_folder.resolve()
    return shlex.quote(folder.name if folder.parent == paths.runs_dir().resolve() else str(folder))


def _row(index: int, case: CaseRecord) -> dict[str, Any]:
    file, _, test = case.nodeid.partition("::")
    return {
        "index": index,
        "link": quote(f"{case.suite}/{case.case}", errors="backslashreplace"),
        "verdict": case.verdict,
        "suite": case.suite,
        "file": file.rpartition("/")[2],
        "test": test or case.nodeid,
        "reason": case.reason.partition("\n")[0][:300],
        "virtual_s": case.virtual_s,
        "wall_s": case.wall_s,
        "bad": is_bad(case.verdict),
        "identical": _identical(case),
    }


def _identical(case: CaseRecord) -> int:
    """Give how many executions had the same digest; 0 where nothing was compared."""
    return len(case.executions) if case.digest is not None and len(case.executions) > 1 else 0


def _counts(cases: Iterable[CaseRecord]) -> list[tuple[Verdict, int]]:
    """Count the verdicts that there are, worst first."""
    counts = Counter(case.verdict for case in cases)
    return sorted(counts.items(), key=lambda entry: -_rank(entry[0]))


def _rank(verdict: Verdict) -> int:
    return sum(worst([verdict, other]) is verdict for other in Verdict)


def _suites(cases: Sequence[CaseRecord]) -> list[dict[str, Any]]:
    found = []
    for suite in dict.fromkeys(case.suite for case in cases):
        own = [case for case in cases if case.suite == suite]
        found.append(
            {
                "name": suite,
                "cases": len(own),
                "verdict": worst(case.verdict for case in own),
                "counts": _counts(own),
                "virtual_s": sum(case.virtual_s for case in own),
                "wall_s": sum(case.wall_s for case in own),
            }
        )
    return found


def _group(found: Tally) -> dict[str, Any]:
    """Give a LibOS as the table of suites has a suite."""
    return {
        "name": found.name,
        "cases": found.cases,
        "counts": list(reversed(found.counts.items())),
        "virtual_s": found.virtual_s,
        "wall_s": found.wall_s,
    }


def _totals(run: RunRecord) -> dict[str, Any]:
    virtual_s = sum(case.virtual_s for case in run.cases)
    compared = [case for case in run.cases if len(case.executions) > 1]
    return {
        "virtual_s": virtual_s,
        "compared": len(compared),
        "identical": sum(case.digest is not None for case in compared),
        "different": sum(case.difference is not None for case in compared),
        "left_out": sum(bool(case.left_out) for case in run.cases),
    }


def _ratio(virtual_s: float, wall_s: float) -> str:
    """Write how many times as fast as the wall's clock a clock ran; a dash where none did."""
    if wall_s <= 0 or virtual_s <= 0:
        return "-"
    ratio = virtual_s / wall_s
    return f"{ratio:.3g} \N{MULTIPLICATION SIGN}" if ratio < 1000 else f"{ratio:,.0f} \N{MULTIPLICATION SIGN}"


def _seconds(value: float) -> str:
    """Write a length of time for a reader: ``27.8 h``, ``3 min 12 s``, ``1.24 s``, ``3.4 ms``, ``12 us``."""
    if value >= 36_000:
        return f"{value / 3600:,.1f} h"
    if value >= 7200:
        return f"{int(value // 3600)} h {int(value % 3600 // 60)} min"
    if value >= 120:
        return f"{int(value // 60)} min {value % 60:.0f} s"
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return "0 s" if value <= 0 else f"{value * 1e9:.0f} ns"
