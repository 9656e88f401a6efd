# SPDX-License-Identifier: MIT
"""The flavors: library OSes that can be built and put on a node, as data."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.errors import ConfigError, near_misses
from testbed.libos.catloop import CATLOOP
from testbed.libos.catmem import CATMEM
from testbed.libos.catnap import CATNAP
from testbed.libos.catnip import CATNIP
from testbed.libos.catpowder import CATPOWDER
from testbed.libos.foreign import foreign
from testbed.libos.linux import build_linux

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.errors import CapabilityError
    from testbed.libos.artifacts import Artifact
    from testbed.libos.foreign import Foreign
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
        foreign: Where it is one of a ``testbed.toml``: what that says.
    """

    name: str
    description: str
    build: Callable[..., Artifact] = field(repr=False)
    capabilities: frozenset[str] = frozenset()
    crate: Crate | None = None
    foreign: Foreign | None = None

    @property
    def is_library(self) -> bool:
        """Whether it is a shared library with the queue API, ours or anybody's."""
        return self.crate is not None or (self.foreign is not None and self.foreign.abi == "demi")

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
CRATES: tuple[Crate, ...] = (CATNAP, CATNIP, CATPOWDER, CATMEM, CATLOOP)


def _of_crate(crate: Crate) -> Flavor:
    return Flavor(crate.name, crate.description, crate.build, crate.abilities, crate)


_FLAVORS: Mapping[str, Flavor] = MappingProxyType(
    {known.name: known for known in (LINUX, *map(_of_crate, CRATES))},
)


def _of_user(declared: Foreign) -> Flavor:
    from testbed.libos.foreign_flavor import make  # noqa: PLC0415  # few have one

    return Flavor(
        declared.name,
        f"{declared.abi} of {declared.file}",
        functools.partial(make, declared),
        frozenset(declared.abilities) if declared.abi == "demi" else LINUX.capabilities,
        foreign=declared,
    )


def flavors() -> Mapping[str, Flavor]:
    """Give all flavors by name: ours, and those of the ``testbed.toml`` in force.

    Raises:
        ConfigError: That file is wrong, or takes a name of ours.
    """
    found = foreign()
    for name in found.keys() & _FLAVORS.keys():
        raise ConfigError(f"{found[name].file}: [libos.{name}] has the name of one of testbed's own flavors")
    return MappingProxyType({**_FLAVORS, **{name: _of_user(declared) for name, declared in found.items()}})


def is_artifact(word: str) -> bool:
    """Say whether a word of ``--libos`` means the folder of an artifact; a flavor of that name comes first."""
    return word not in flavors() and Path(word).exists()


def flavor(name: str) -> Flavor:
    """Give a flavor by its name.

    Raises:
        ConfigError: There is none; near misses are named.
    """
    known = flavors()
    if name not in known:
        raise ConfigError(f"unknown flavor {name!r}", hint=near_misses(name, known))
    return known[name]
