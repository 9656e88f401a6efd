# SPDX-License-Identifier: MIT
"""The shell's commands about links: their state, their shape, and what was captured on them."""

from __future__ import annotations

import re
import shutil
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import ConfigError, near_misses
from testbed.reports import words
from testbed.reports.topology_text import columns
from testbed.scenarios.shape import SHAPE_FIELDS
from testbed.shell.output import note, say

if TYPE_CHECKING:
    from testbed.backends.link import Link
    from testbed.backends.pcapng import Frame
    from testbed.shell.line import Line
    from testbed.shell.shell import Shell

KEYS = ("rate", "delay", "jitter", "loss", "reorder", "duplicate", "corrupt", "queue")
"""Short names of the parts of a shape; the long ones (``delay_ms``, ...) are valid, too."""
_SUFFIXES = {"rate": "bps", "delay": "ms", "jitter": "ms", "queue": "packets"}
_FIELDS = {key: f"{key}_{_SUFFIXES.get(key, 'ratio')}" for key in KEYS}
_NUMBER = re.compile(r"(\d[\d_]*\.?\d*(?:e[+-]?\d+)?|\.\d+)([a-z%/]*)", re.IGNORECASE)
_TIMES_MS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6}
_RATES = {"": 1, "bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "k": 10**3, "m": 10**6, "g": 10**9}
_SHOWN_FRAMES = 25


def seconds(word: str) -> float:
    """Read a length of time: seconds, or with a unit: ``10ms``, ``2min``.

    Raises:
        ConfigError: It is none.
    """
    return _time_ms(word, "s") / 1e3


def table(shell: Shell, width: int) -> int:
    """List all links."""
    found = [_row(link) for link in shell.network.links.values()]
    if found:
        say(columns([["LINK", "STATE", "SHAPE"], *found], width))
    return 0


def link(shell: Shell, line: Line) -> int:
    """Show, cut, join or shape a link: ``link LINK [up | down | set KEY=VALUE...]``."""
    given = [word.text for word in line.words[1:]]
    if not given:
        raise ConfigError("which link?", hint=f"links lists them; link {next(iter(shell.network.links), 'h1-h2')} down")
    found = shell.network.link(given[0])
    match given[1:]:
        case []:
            say("  ".join(_row(found)))
        case ["up"]:
            found.restore()
        case ["down"]:
            found.cut()
        case ["set", first, *rest]:
            toward, shape = _shape([first, *rest])
            found.set(toward=toward, **shape)
        case ["set"]:
            raise ConfigError("set what?", hint=f"link {found.name} set loss=0.1 delay=10ms")
        case [other, *_]:
            raise ConfigError(f"a link goes 'up', 'down' or is 'set', not {other!r}; {near_misses(other, _VERBS)}")
    return 0


_VERBS = ("up", "down", "set")


def _row(found: Link) -> list[str]:
    return [found.name, "up" if found.joined else "down", words.shapes(*found.shapes) or "clean"]


def _shape(given: list[str]) -> tuple[str | None, dict[str, Any]]:
    """Read ``KEY=VALUE`` words: the node that a direction leads to, and the shape's keywords."""
    toward, shape = None, {}
    for word in given:
        key, sign, value = word.partition("=")
        if not sign:
            raise ConfigError(f"a value is written KEY=VALUE, found {word!r}", hint="loss=0.1 delay=10ms rate=5mbit")
        if key == "toward":
            toward = value
            continue
        name = _FIELDS.get(key, key)
        if name not in SHAPE_FIELDS:
            raise ConfigError(f"a link has no {key!r}; {near_misses(key, [*KEYS, 'toward', *SHAPE_FIELDS])}")
        shape[name] = _value(name, value)
    return toward, shape


def _value(name: str, text: str) -> float | int | None:
    if name == "rate_bps":
        return None if text.lower() == "none" else _rate_bps(text)
    if name.endswith("_ms"):
        return _time_ms(text, "ms")
    if name == "queue_packets":
        number, unit = _number(text)
        if unit or not number.is_integer():
            raise ConfigError(f"a queue is a number of packets, not {text!r}")
        return int(number)
    number, unit = _number(text)
    if unit not in ("", "%"):
        raise ConfigError(f"a ratio is 0 to 1, or per cent with %, not {text!r}")
    return number / 100 if unit else number


def _number(text: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ConfigError(f"no number: {text!r}", hint="loss=0.1 delay=10ms rate=5mbit queue=100")
    return float(found[1].replace("_", "")), found[2]


def _time_ms(text: str, unit: str) -> float:
    number, given = _number(text)
    if (given or unit) not in _TIMES_MS:
        raise ConfigError(f"no unit of time {given!r} in {text!r}; {near_misses(given, _TIMES_MS)}")
    return number * _TIMES_MS[given or unit]


def _rate_bps(text: str) -> int:
    number, given = _number(text)
    unit = given.lower().removesuffix("/s").removesuffix("ps")
    if unit not in _RATES:
        raise ConfigError(f"no unit of rate {given!r} in {text!r}; {near_misses(unit, ['kbit', 'mbit', 'gbit'])}")
    return round(number * _RATES[unit])


def capture(shell: Shell, line: Line, width: int) -> int:
    """List the captures, show one, or copy it: ``capture [LINK[.NODE] [FILE]]``."""
    given = [word.text for word in line.words[1:]]
    if not given:
        return _captures(shell, width)
    if not 1 <= len(given) <= 2:
        example = next(iter(shell.network.links), "h1-h2")
        written = "capture [LINK[.NODE] [FILE]]"
        raise ConfigError(f"it is written {written!r}, found {line.text!r}", hint=f"capture {example}")
    found, end = _end(shell, given[0])
    if len(given) == 1:
        _show(found, end)
        return 0
    source, target = found.capture(end), Path(given[1]).expanduser()
    if not source.exists():
        raise ConfigError(f"nothing was captured at the end of {found.name} at {end} yet")
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise ConfigError(f"cannot write {given[1]!r}: {error.strerror}") from error
    note(f"the frames that {end} sent and received on {found.name} are in {target}")
    return 0


def _captures(shell: Shell, width: int) -> int:
    """List the ends of all links with what was captured there until now."""
    rows = []
    for found in shell.network.links.values():
        for end in found.ends:
            count, last_ns = 0, None
            for frame in found.frames(end):
                count, last_ns = count + 1, frame.time_ns
            when = "nothing yet" if last_ns is None else f"{last_ns / 1e9:.9f} s"
            rows.append([f"{found.name}.{end}", str(count), when])
    if rows:
        say(columns([["CAPTURE", "FRAMES", "LAST"], *rows], width))
        note(
            f"all link ends are captured all the time; capture {rows[0][0]} shows the frames, with FILE it copies them"
        )
    return 0


def _end(shell: Shell, word: str) -> tuple[Link, str]:
    """Find a link and one of its ends by ``LINK`` or ``LINK.NODE``; the names of both may have dots."""
    for name, found in shell.network.links.items():
        if word == name:
            return found, found.ends[0]
        for node in found.ends:
            if word == f"{name}.{node}":
                return found, node
    link_name, dot, node = word.rpartition(".")
    if dot and link_name in shell.network.links:
        ends = shell.network.links[link_name].ends
        raise ConfigError(f"link {link_name} has no end {node!r}; {near_misses(node, ends)}")
    found = shell.network.link(word)
    return found, found.ends[0]


def _show(found: Link, end: str) -> None:
    from scapy.layers import inet, inet6  # noqa: F401, PLC0415  # a third of a second, for those who want it
    from scapy.layers.l2 import Ether  # noqa: PLC0415

    last: deque[Frame] = deque(maxlen=_SHOWN_FRAMES)
    count = 0
    for frame in found.frames(end):
        last.append(frame)
        count += 1
    if count > _SHOWN_FRAMES:
        note(f"(the last {_SHOWN_FRAMES} of {count} frames; capture {found.name}.{end} FILE takes them all)")
    for frame in last:
        summary = words.printable(Ether(frame.data).summary())
        say(f"{frame.time_ns / 1e9:.9f}  {frame.length:5}  {summary}")
