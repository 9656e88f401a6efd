# SPDX-License-Identifier: MIT
"""The parameters of Mininet's ``TCLink`` as shapes of our links (``mininet.link.TCIntf``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from testbed.errors import ConfigError, near_misses
from testbed.scenarios.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEANT = ("bw", "delay", "jitter", "loss", "max_queue_size")
_WITHOUT_EFFECT = (  # how Mininet does it, what it calls things, or what a link of ours has anyway
    *("use_htb", "use_hfsc", "use_tbf", "latency_ms", "gro", "disable_gro", "txo", "rxo", "fast"),
    *("cls", "cls1", "cls2", "intf", "intfName1", "intfName2", "addr1", "addr2", "port", "port1", "port2"),
    *("node1", "node2", "key", "mac", "ip", "up", "ifconfig", "moveIntfFn"),
)
_REFUSED = {
    "enable_ecn": "a link here has no RED queue that marks",
    "enable_red": "a link here has no RED queue",
    "speedup": "it makes a switch's end quicker than the link's",
}
_OF_ONE_END = ("params1", "params2")
_KNOWN = (*_MEANT, *_WITHOUT_EFFECT, *_REFUSED, *_OF_ONE_END)
_TIME = re.compile(r"\s*([0-9.]+)\s*([a-z]*)\s*")
_MS = {"s": 1e3, "sec": 1e3, "secs": 1e3, "ms": 1.0, "msec": 1.0, "msecs": 1.0, "": 1e-3, "us": 1e-3}
_MS |= {"usec": 1e-3, "usecs": 1e-3, "ns": 1e-6, "nsec": 1e-6, "nsecs": 1e-6}


def shapes(where: str, opts: Mapping[str, Any]) -> tuple[Shape, Shape]:
    """Make the shapes of both directions, first node to second one first.

    Args:
        where: The link, for messages.
        opts: The options of ``Topo.addLink``; ``params1`` and ``params2`` are those of one end, which shapes what it
            sends.

    Raises:
        ConfigError: An option is unknown (near misses are named), or nothing that a link here can do.
    """
    _check(where, opts)
    both = []
    for name in _OF_ONE_END:
        params = opts.get(name) or {}
        _check(f"{where}, {name}", params)
        both.append(_shape(where, {**opts, **params}))
    return both[0], both[1]


def _check(where: str, opts: Mapping[str, Any]) -> None:
    for name, value in opts.items():
        if name not in _KNOWN:
            raise ConfigError(f"{where}: unknown option {name!r}; {near_misses(name, _MEANT)}")
        if name in _REFUSED and value:
            raise ConfigError(f"{where}: {name}={value!r} cannot be had: {_REFUSED[name]}", hint="leave it out")


def _shape(where: str, opts: Mapping[str, Any]) -> Shape:
    values: dict[str, Any] = {}
    if opts.get("bw") is not None:
        values["rate_bps"] = round(_number(where, "bw", opts["bw"], "Mbit/s, such as 10") * 1e6)
    for name in ("delay", "jitter"):
        if opts.get(name) is not None:
            values[f"{name}_ms"] = _time_ms(where, name, opts[name])
    if opts.get("loss") is not None:
        loss = str(opts["loss"]).removesuffix("%")
        values["loss_ratio"] = _number(where, "loss", loss, "per cent, such as 1") / 100
    if opts.get("max_queue_size") is not None:
        values["queue_packets"] = opts["max_queue_size"]
    try:
        return Shape(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}") from error


def _number(where: str, name: str, value: object, hint: str) -> float:
    try:
        return float(str(value))
    except ValueError as error:
        raise ConfigError(f"{where}: {name} must be a number, not {value!r}", hint=hint) from error


def _time_ms(where: str, name: str, value: object) -> float:
    """Read a time as tc(8) does: a bare number is microseconds."""
    found = _TIME.fullmatch(str(value).lower())
    if not found or found[2] not in _MS:
        raise ConfigError(f"{where}: {name} must be a time, not {value!r}", hint="such as '5ms', as tc(8) writes it")
    # To the nanosecond, the finest that a link knows: 100us is 0.1 ms and not 0.09999999999999999.
    return round(_number(where, name, found[1], "such as '5ms'") * _MS[found[2]], 6)
