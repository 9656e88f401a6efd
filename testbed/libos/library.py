# SPDX-License-Identifier: MIT
"""A library with the queue API, ready to be put on a node: ours or anybody's."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from testbed.errors import ConfigError, near_misses
from testbed.libos.artifacts import hold
from testbed.libos.pdpix import Crate

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATE = Path(__file__).parent / "templates" / "demi.yaml.j2"
HOST = Crate("testbed-libos", "testbed-libos", "the native program that libraries with the queue API live in")


@dataclass(frozen=True, kw_only=True)
class Library:
    """What a node needs of it.

    Args:
        name: The flavor's name.
        file: The shared library on the host.
        abilities: What it can do: ``tcp``, ``udp``, ``pipe``, ``threads``, ``loopback`` (reaches only its own
            node), ``user-stack`` (addresses of its own, so that the node's kernel must have none on that interface).
        env: Variables beside ``LIBOS`` and ``CONFIG_PATH``.
        template: The jinja2 template of its configuration.
        artifact: Name of its artifact and the SHA-256 of the library, for the record.
    """

    name: str
    file: Path
    abilities: frozenset[str]
    env: Mapping[str, str] = field(default_factory=dict)
    template: Path = TEMPLATE
    artifact: tuple[str, str] = ("", "")

    @property
    def owns_interface(self) -> bool:
        """Whether it takes an interface from the node's kernel."""
        return "user-stack" in self.abilities

    def render(self, values: Mapping[str, Any]) -> str:
        """Make its configuration for one node.

        Args:
            values: What the template may use; a name that it uses and that is not there is an error.

        Raises:
            ConfigError: The template cannot be read or does not fit.
        """
        try:
            return _compiled(self.template.read_text(encoding="utf-8")).render(values)
        except OSError as error:
            raise ConfigError(f"{self.name}: cannot read its template {self.template}: {error.strerror}") from error
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"{self.name}: {self.template}, line {error.lineno}: {error.message}") from error
        except jinja2.TemplateError as error:
            valid = ", ".join(sorted(values))
            raise ConfigError(f"{self.name}: {self.template}: {error.message}", hint=f"there are: {valid}") from error


@functools.lru_cache(maxsize=8)
def _compiled(text: str) -> jinja2.Template:
    """Compile a template, once in a process: that takes 6 ms, and a case starts several LibOSes."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  # YAML, no HTML
    )
    return environment.from_string(text)


def find_library(name: str) -> Library:
    """Give the library of a flavor; built if it is missing.

    Raises:
        ConfigError: There is no such flavor, or it is no library.
        CapabilityError: It cannot be built on this machine.
        BuildError: It does not build.
    """
    from testbed.libos.flavor import flavor, flavors  # noqa: PLC0415  # which knows all of them

    found = flavor(name)
    if found.foreign is not None and found.is_library:
        from testbed.libos.foreign_flavor import library  # noqa: PLC0415  # few have one

        return library(found.foreign)
    if found.crate is None:
        valid = [known for known, other in flavors().items() if other.is_library]
        raise ConfigError(f"{name!r} is no library with the queue API; {near_misses(name, valid)}")
    return _built(found.crate)


@functools.cache
def _built(crate: Crate) -> Library:
    """Build a library of ours, once in a process: a case must not pay for asking the compiler who it is."""
    artifact = crate.build()
    hold(artifact.path)
    return Library(
        name=crate.name,
        file=artifact.file(crate.output),
        abilities=crate.abilities,
        artifact=(artifact.path.name, artifact.digest(crate.output)),
    )


@functools.cache
def host_program() -> Path:
    """Give the program that libraries live in: as ``TESTBED_LIBOS_HOST`` says, else built if it is missing."""
    given = os.environ.get("TESTBED_LIBOS_HOST")
    if given:
        return Path(given)
    return HOST.build().file(HOST.output)
