# SPDX-License-Identifier: MIT
"""``testbed packets``: the captures of a record as text."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.names import known
from testbed.cli.output import line, note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.harness.packets import Frame
    from testbed.harness.records import Record

_DECODERS = ("tshark", "scapy")
Row = tuple["Frame", tuple[str, ...]]


def packets(
    run: Annotated[str, typer.Argument(help="A run: folder, id, beginning of an id, or 'latest'.")],
    case: Annotated[str, typer.Argument(help="A case: node id, or a part that only one has.")],
    *,
    link: Annotated[
        list[str] | None, typer.Option("--link", "-l", help="A link, or one end of it as LINK.NODE; repeatable.")
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option("--filter", "-f", help="tshark: display filter; scapy: filter of pcap-filter(7).", metavar="EXPR"),
    ] = None,
    decoder: Annotated[
        str | None, typer.Option(help="tshark or scapy; default: tshark where it is installed.", show_default=False)
    ] = None,
    hexadecimal: Annotated[bool, typer.Option("--hex", "-x", help="The bytes, too.")] = False,
    execution: Annotated[
        int | None, typer.Option(min=1, help="Which execution; default: the first that was kept.", show_default=False)
    ] = None,
    files: Annotated[bool, typer.Option("--files", help="Only name the pcapng files, for wireshark(1).")] = False,
) -> None:
    """Decode the frames of a case, in order of time: time, link end (> sent, < received), source, destination, ..."""
    from testbed.harness.lookup import find_case, find_record, open_run
    from testbed.harness.records import Record

    folder, contents = open_run(run)
    found = find_record(folder, find_case(contents, case), execution)
    record = Record.load(found)
    captures = _captures(found, record, link or [])
    if files:
        for path in captures:
            line(str(path))
        return
    from testbed.reports import frames as tables

    count = 0
    for frame, cells in _rows(captures, record.epoch_ns, _decoder(decoder), filter_):
        line(tables.text(cells))
        count += 1
        if hexadecimal:
            for text in tables.dump(frame.data):
                line(text)
    note(f"{count} frames")


def _captures(folder: Path, record: Record, links: list[str]) -> list[Path]:
    """Choose the files; those that the record names and that are gone are told of.

    Raises:
        ConfigError: No such link, or there is nothing to show.
    """
    from testbed.errors import ConfigError
    from testbed.verdict import Verdict

    names = {capture.file: (capture.link, f"{capture.link}.{capture.node}") for capture in record.captures}
    if not names:
        gone = not record.complete or record.verdict in {Verdict.CRASHED, Verdict.TIMED_OUT}
        died = f"its guest ended before it gave its captures out; see {folder / 'console.log'}"
        hint = died if gone else "was it made with --no-captures?"
        raise ConfigError(f"the record {folder} has no captures", hint=hint)
    for word in links:
        known("link", word, sorted({name for pair in names.values() for name in pair}))
    chosen = [folder / file for file, pair in names.items() if not links or set(pair) & set(links)]
    for path in chosen:
        if not path.exists():
            note(f"the capture {path} is gone", style="red")
    left = [path for path in chosen if path.exists()]
    if not left:
        raise ConfigError(f"all captures of the record {folder} are gone")
    return left


def _decoder(wished: str | None) -> str:
    """Choose the decoder, and say which."""
    from testbed.reports import tshark

    chosen = known("decoder", wished, _DECODERS) if wished is not None else _DECODERS[not tshark.installed()]
    if chosen == "tshark":
        note(f"decoder: {tshark.version()}; filters are display filters (man wireshark-filter)")
    else:
        note("decoder: scapy; filters are those of tcpdump (man pcap-filter)")
    return chosen


def _rows(captures: list[Path], epoch_ns: int, decoder: str, expression: str | None) -> Iterator[Row]:
    """Give the frames of all captures that pass the filter, in order of time."""
    if decoder == "tshark":
        from testbed.reports import tshark

        sources = [tshark.rows(path, epoch_ns, expression) for path in captures]
    else:
        from testbed.reports.bpf import Filter

        wanted = Filter(expression) if expression else None
        sources = [_by_scapy(path, epoch_ns, wanted) for path in captures]
    return heapq.merge(*sources, key=lambda row: row[0].time_ns)


def _by_scapy(path: Path, epoch_ns: int, wanted: object) -> Iterator[Row]:
    from testbed.harness.packets import frames
    from testbed.reports import frames as tables

    for frame in frames(path):
        if not callable(wanted) or wanted(frame):
            yield frame, tables.row(frame, path.stem, epoch_ns)
