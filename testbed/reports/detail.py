# SPDX-License-Identifier: MIT
"""All that a page knows of one case, as plain data: rendered by the page's script when somebody opens the case."""

from __future__ import annotations

import base64
import itertools
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.errors import ConfigError
from testbed.harness.records import Record
from testbed.reports import flows, oracle, roundtrips, traffic
from testbed.reports.bounds import BAD, GOOD, Bounds
from testbed.reports.decode import decode
from testbed.reports.divergence import divergence
from testbed.reports.excerpt import excerpt
from testbed.verdict import Verdict, is_bad

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.harness.records import CaseRecord, ExecutionRecord

_FIELD_CHARS = 160
_QUIET_FIELDS = frozenset({"env", "output_limit", "id", "input", "stdin", "cwd"})


@dataclass(frozen=True)
class Wanted:
    """What of a case goes into the page.

    Args:
        packets: Whether captures are read: decoded packets and curves.
        bounds: How much.
        records: Whether records are read at all; else there is only what ``run.json`` says.
        oracle: The same case on the oracle, where there is one.
    """

    packets: bool
    bounds: Bounds
    records: bool = True
    oracle: CaseRecord | None = None


def bounds_of(case: CaseRecord) -> Bounds:
    """Give the bounds of a case: wide ones where somebody has to look."""
    return BAD if is_bad(case.verdict) or case.verdict is Verdict.NOT_RUN else GOOD


def detail(run_folder: Path, case: CaseRecord, wanted: Wanted) -> dict[str, Any]:
    """Collect what a page shows of one case.

    Args:
        run_folder: The run's folder.
        case: The case.
        wanted: How much of it.

    Returns:
        JSON-able data; times are ns of the network's clock. ``topology`` is the recorded one.
    """
    data: dict[str, Any] = {
        "nodeid": case.nodeid,
        "seed": None if case.seed is None else str(case.seed),  # 63 bits: more than JavaScript counts
        "digest": case.digest,
        "left_out": case.left_out,
        "kernel": case.kernel,
        "artifacts": case.artifacts,
        "difference": case.difference,
        "failure": None if case.failure is None else vars(case.failure),
        "executions": [_execution(entry) for entry in case.executions],
        "folder": case.folder,
    }
    if wanted.oracle is not None:
        data["oracle"] = oracle.in_words(wanted.oracle)
    shown = _shown(case) if wanted.records else None
    if shown is None or shown.folder is None:
        return data
    folder = run_folder / shown.folder
    try:
        data |= _recorded(folder, shown, wanted)
    except ConfigError as error:
        data["problem"] = str(error)
        return data
    data["sides"] = _sides(run_folder, case, wanted.bounds)
    if case.libos:
        beside = None if wanted.oracle is None else _shown(wanted.oracle)
        there = None if beside is None or beside.folder is None else run_folder / beside.folder
        data["latency"] = roundtrips.card(folder, there)
    return data


def _execution(entry: ExecutionRecord) -> dict[str, Any]:
    return {
        "number": entry.number,
        "verdict": entry.verdict,
        "reason": entry.reason,
        "digest": entry.digest,
        "virtual_s": entry.virtual_s,
        "wall_s": entry.wall_s,
        "folder": entry.folder,
    }


def _shown(case: CaseRecord) -> ExecutionRecord | None:
    """Choose the execution that is shown: one with the verdict of the case, else the first that was kept."""
    kept = [entry for entry in case.executions if entry.folder is not None]
    return next((entry for entry in kept if entry.verdict is case.verdict), kept[0] if kept else None)


def _recorded(folder: Path, entry: ExecutionRecord, wanted: Wanted) -> dict[str, Any]:
    record = Record.load(folder)
    bounds = wanted.bounds
    topology = _topology(folder)
    data: dict[str, Any] = {
        "shown": entry.number,
        "record": entry.folder,
        "complete": record.complete,
        "end": record.end_ns,
        "parts": record.parts,
        "topology": topology,
        "nodes": _order(topology, record),
        "processes": [_process(folder, process, bounds) for process in record.processes[: bounds.processes]],
        "processes_left_out": max(0, len(record.processes) - bounds.processes),
        "commands": _commands(folder, bounds),
        "commands_total": record.commands,
        "complaints": record.complaints,
        "lost_frames": record.lost_frames,
        "captures": [
            {"file": capture.file, "link": capture.link, "node": capture.node, "bytes": capture.bytes}
            for capture in record.captures
        ],
    }
    for name in ("kernel", "console"):
        data[f"{name}_log"] = excerpt(folder / f"{name}.log", bounds.stream_first_bytes, bounds.stream_last_bytes)
    if wanted.packets:
        try:
            data |= _packets(folder, record, topology, bounds)
        except ConfigError as error:  # a capture that is none; the rest of the record stands
            data["problem"] = str(error)
    return data


def _topology(folder: Path) -> dict[str, Any] | None:
    """Read the recorded topology; records of an older testbed have none."""
    try:
        found: dict[str, Any] = json.loads((folder / "topology.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def _order(topology: Mapping[str, Any] | None, record: Record) -> list[str]:
    """Give the nodes in the order of a walk along the links, so that lifelines that talk stand side by side."""
    if topology is None:
        seen = [capture.node for capture in record.captures] + [process.node for process in record.processes]
        return list(dict.fromkeys(seen))
    neighbours: dict[str, list[str]] = {node["name"]: [] for node in topology["nodes"]}
    for link in topology["links"]:
        neighbours[link["a"]].append(link["b"])
        neighbours[link["b"]].append(link["a"])
    order: dict[str, None] = {}
    for start in neighbours:
        queue = [start]
        for node in queue:
            if node not in order:
                order[node] = None
                queue += neighbours[node]
    return list(order)


def _process(folder: Path, process: Any, bounds: Bounds) -> dict[str, Any]:
    return {
        "folder": process.folder,
        "node": process.node,
        "argv": shlex.join(process.argv),
        "start": process.start_ns,
        "end": process.end_ns,
        "code": process.returncode,
        "stdout": _stream(folder / process.folder / "stdout", process.stdout_bytes, bounds),
        "stderr": _stream(folder / process.folder / "stderr", process.stderr_bytes, bounds),
    }


def _stream(path: Path, size: int, bounds: Bounds) -> Any:
    """Read one output of a process; one that wrote nothing needs no look at the disk."""
    return excerpt(path, bounds.stream_first_bytes, bounds.stream_last_bytes) if size else None


def _commands(folder: Path, bounds: Bounds) -> list[list[Any]]:
    """Give what the test asked for: name, words, start and end."""
    path = folder / "commands.jsonl"
    if not path.exists():
        return []
    found = []
    with path.open() as stream:
        for line in itertools.islice(stream, bounds.commands):
            try:
                entry = json.loads(line)
            except ValueError:  # cut off when the run was killed
                break
            found.append([entry["name"], _words(entry["fields"]), entry["start_ns"], entry["end_ns"]])
    return found


def _words(fields: Mapping[str, Any]) -> str:
    """Write the fields of a command in one line, those that tell the most first."""
    words = [str(fields["node"])] if "node" in fields else []
    if isinstance(fields.get("argv"), list):
        words.append(shlex.join(map(str, fields["argv"])))
    rest = {name: value for name, value in fields.items() if name not in _QUIET_FIELDS | {"node", "argv"}}
    words += [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in rest.items()]
    text = "  ".join(words)
    return text if len(text) <= _FIELD_CHARS else f"{text[:_FIELD_CHARS]}…"


def _packets(folder: Path, record: Record, topology: Mapping[str, Any] | None, bounds: Bounds) -> dict[str, Any]:
    captures = traffic.read(folder, record)
    found = traffic.journeys(captures, traffic.delays(topology))
    gap = max(0, len(found) - bounds.packets_first - bounds.packets_last)
    shown = found[: bounds.packets_first] + found[bounds.packets_first + gap :]
    return {
        "packets": [_packet(journey, record.epoch_ns, bounds) for journey in shown],
        "packets_total": len(found),
        "packets_gap": [bounds.packets_first, gap] if gap else None,
        "packets_gap_files": _gap_files(found[bounds.packets_first : bounds.packets_first + gap], record),
        "frames": [len(capture.frames) for capture in captures],
        "flows": flows.flows(
            captures, record.epoch_ns, most=bounds.flows, points=bounds.flow_points, routers=_routers(topology, record)
        ),
    }


def _routers(topology: Mapping[str, Any] | None, record: Record) -> set[str]:
    """Give the nodes that are no hosts and run no process of their own."""
    busy = {process.node for process in record.processes}
    nodes = (topology or {}).get("nodes", ())
    return {node["name"] for node in nodes if node["kind"] != "host" and node["name"] not in busy}


def _gap_files(left_out: Sequence[traffic.Journey], record: Record) -> list[list[Any]]:
    """Count the packets that are left out by the capture that has them."""
    counts = [0] * len(record.captures)
    for journey in left_out:
        counts[journey.capture] += 1
    return [[record.captures[index].file, count] for index, count in enumerate(counts) if count]


def _packet(journey: traffic.Journey, epoch_ns: int, bounds: Bounds) -> list[Any]:
    """Give sent, received, link, from, to, length, protocol, line, bytes, layers, capture."""
    decoded = decode(journey.frame.data)
    return [
        None if journey.sent_ns is None else journey.sent_ns - epoch_ns,
        None if journey.received_ns is None else journey.received_ns - epoch_ns,
        journey.link,
        journey.source,
        journey.target,
        journey.frame.length,
        decoded.protocol,
        decoded.info,
        base64.b64encode(journey.frame.data[: bounds.packet_bytes]).decode(),
        decoded.layers,
        journey.capture,
    ]


def _sides(run_folder: Path, case: CaseRecord, bounds: Bounds) -> dict[str, Any] | None:
    """Put the first two executions that differ side by side; None where none do, or their records were not kept."""
    kept = [entry for entry in case.executions if entry.folder is not None and entry.digest is not None]
    if case.difference is None or len(kept) < 2:
        return None
    other = next((entry for entry in kept[1:] if entry.digest != kept[0].digest), None)
    if other is None:
        return None
    left, right = run_folder / str(kept[0].folder), run_folder / str(other.folder)
    return divergence(left, right, Record.load(left).epoch_ns, bounds)
