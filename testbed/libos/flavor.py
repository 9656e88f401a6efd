# SPDX-License-Identifier: MIT
"""The flavors: library OSes that can be built and put on a node, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.errors import ConfigError, near_misses
from testbed.libos.catnap import CATNAP
from testbed.libos.linux import build_linux

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.errors import CapabilityError
    from testbed.libos.artifacts import Artifact
    from testbed.libos.pdpix import Crate


@dataclass(frozen=True)
class Flavor:
    """A library OS.

    Args:
        name: On the command line.
        description: One line for ``testbed list flavors``.
        build: Builds it with its defaults, or takes it from the store; keyword arguments are the flavor's own.
        capabilities: What a test may ask of it, such as ``posix`` (runs unmodified programs) or ``virtual-time``.
        crate: Where it is a shared library with the queue API: its part of the Rust workspace.
    """

    name: str
    description: str
    build: Callable[..., Artifact] = field(repr=False)
    capabilities: frozenset[str] = frozenset()
    crate: Crate | None = None

    def lacks(self) -> CapabilityError | None:
        """Say why it cannot be built on this machine; None where it can, or nobody looked."""
        return None if self.crate is None else self.crate.lacks()


LINUX = Flavor(
    name="linux",
    description="the Linux kernel itself, built as a program, in virtual time",
    build=build_linux,
    capabilities=frozenset({"posix", "virtual-time", "network-stack", "identical-bits"}),
)

# A LibOS of the Rust workspace is known as soon as its folder declares it and its name is here.
CRATES: tuple[Crate, ...] = (CATNAP,)


def _of_crate(crate: Crate) -> Flavor:
    return Flavor(crate.name, crate.description, crate.build, crate.abilities, crate)


_FLAVORS: Mapping[str, Flavor] = MappingProxyType(
    {known.name: known for known in (LINUX, *map(_of_crate, CRATES))},
)


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
