# SPDX-License-Identifier: MIT
"""The backends by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.backends.mininet import MininetBackend
from testbed.backends.netns import NetnsBackend
from testbed.backends.timetravel import TimeTravelBackend
from testbed.errors import CapabilityError, ConfigError, near_misses
from testbed.scenarios.topology import SWITCHES

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.backends.base import Backend
    from testbed.scenarios.topology import Switch

DEFAULT = "timetravel"


def _cloudlab() -> Backend:
    from testbed.backends.cloudlab.backend import CloudlabBackend  # noqa: PLC0415  # its ssh takes a while to import

    return CloudlabBackend()


_BACKENDS: dict[str, Callable[[], Backend]] = {
    TimeTravelBackend.name: TimeTravelBackend,
    NetnsBackend.name: NetnsBackend,
    MininetBackend.name: MininetBackend,
    "cloudlab": _cloudlab,
}


_ALONE = frozenset({"cloudlab"})


def alone(name: str) -> bool:
    """Say whether a backend has room for one network at a time: its machines are there once."""
    return name in _ALONE


def backends() -> list[str]:
    """List the names of all backends, the default first."""
    return list(_BACKENDS)


def switch_kind(word: str | None, backend: str) -> Switch | None:
    """Check what all switches are to be; None leaves it to each of them.

    Raises:
        ConfigError: There is no such kind (near misses are named), or the backend has no choice.
    """
    if word is None:
        return None
    found = next((kind for kind in SWITCHES if kind == word), None)
    if found is None:
        raise ConfigError(f"no kind of switch {word!r}; {near_misses(word, SWITCHES)}")
    if backend != MininetBackend.name:
        raise ConfigError(
            f"the backend {backend!r} has one kind of switch: --switch {word} is for the backend mininet",
            hint=f"--backend mininet --switch {word}",
        )
    return found


def backend(name: str = DEFAULT, *, identical_bits: bool = False) -> Backend:
    """Give a backend by its name.

    Args:
        name: One of :func:`backends`.
        identical_bits: Whether the caller is going to demand that two executions are the same to the bit.

    Raises:
        ConfigError: There is no such backend; names near misses.
        CapabilityError: Identical bits are wanted of a backend that cannot promise them.
    """
    if name not in _BACKENDS:
        raise ConfigError(f"no backend {name!r}; {near_misses(name, _BACKENDS)}")
    found = _BACKENDS[name]()
    if identical_bits and not found.promises_identical_bits:
        raise CapabilityError(
            f"the backend {name!r} runs in real time: it promises no identical bits, so executions cannot be compared",
            hint=f"use --backend {DEFAULT}, or execute each case once (--repeat 1)",
        )
    return found
