# SPDX-License-Identifier: MIT
"""The flavors: library OSes that can be built and put on a node, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.errors import ConfigError, near_misses
from testbed.libos.linux import build_linux

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.libos.artifacts import Artifact


@dataclass(frozen=True)
class Flavor:
    """A library OS.

    Args:
        name: On the command line.
        description: One line for ``testbed list flavors``.
        build: Builds it with its defaults, or takes it from the store; keyword arguments are the flavor's own.
        capabilities: What a test may ask of it, such as ``posix`` (runs unmodified programs) or ``virtual-time``.
    """

    name: str
    description: str
    build: Callable[..., Artifact] = field(repr=False)
    capabilities: frozenset[str] = frozenset()


LINUX = Flavor(
    name="linux",
    description="the Linux kernel itself, built as a program, in virtual time",
    build=build_linux,
    capabilities=frozenset({"posix", "virtual-time", "network-stack", "identical-bits"}),
)

_FLAVORS: Mapping[str, Flavor] = MappingProxyType({known.name: known for known in (LINUX,)})


def flavors() -> Mapping[str, Flavor]:
    """Give all flavors by name."""
    return _FLAVORS


def flavor(name: str) -> Flavor:
    """Give a flavor by its name.

    Raises:
        ConfigError: There is none; near misses are named.
    """
    found = _FLAVORS.get(name)
    if found is None:
        raise ConfigError(f"unknown flavor {name!r}", hint=near_misses(name, _FLAVORS))
    return found
