# SPDX-License-Identifier: MIT
"""Anybody's LibOS: what a ``testbed.toml`` beside the user's sources declares, checked word by word."""

from __future__ import annotations

import functools
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import ConfigError, near_misses

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "testbed.toml"
VARIABLE = "TESTBED_TOML"
ABIS = ("demi", "preload", "kernel")
ABILITIES = ("tcp", "udp", "pipe", "threads", "user-stack", "loopback")
_LIST = "a list of strings"
_TABLE = "a table of strings"
# Key: what its value is, and for which ABIs it is.
_KEYS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "abi": ("a string", ABIS),
    "source": ("a string", ABIS),
    "revision": ("a string", ABIS),
    "build": ("a string", ("demi", "preload")),
    "artifact": ("a string", ("demi", "preload")),
    "header": ("a string", ("demi",)),
    "abilities": (_LIST, ("demi",)),
    "command": ("a string", ("preload",)),
    "env": (_TABLE, ABIS),
    "config": ("a string", ("demi", "kernel")),
    "requires": (_LIST, ABIS),
    "skip": (_TABLE, ABIS),
}
_MUST: Mapping[str, tuple[str, ...]] = {
    "demi": ("source", "build", "artifact"),
    "preload": ("command",),
    "kernel": ("source",),
}


@dataclass(frozen=True, kw_only=True, eq=False)  # one object for each state of the file: a key for caches
class Foreign:
    """A LibOS of the user's.

    Args:
        name: Of its table, ``[libos.NAME]``.
        file: The ``testbed.toml``; paths in it are relative to its folder.
        abi: ``demi`` (a shared library with the queue API), ``preload`` (a command around POSIX programs) or ``kernel``
            (a Linux tree).
        source: Folder of the sources; where ``revision`` is given, a git repository.
        revision: Commit, tag or branch of the git repository; None for a folder as it is.
        build: Shell command, run in a copy of the sources.
        artifact: What it leaves: the library; of ``preload``, a file that ``command`` needs.
        header: Header in the sources that declares the structures; their sizes are checked.
        abilities: What the suites may ask of it.
        command: Of ``preload``: the words before a program's own; ``{artifact}`` is the artifact's path in the node.
        env: Variables of the build and of the processes.
        config: Of ``demi``: template of its configuration file; of ``kernel``: a fragment of its configuration.
        requires: What the machine or the kernel must have: ``dpdk``, ``program:NAME``, or a capability.
        skip: Pattern of suites or tests to the reason why it cannot run them.
    """

    name: str
    file: Path
    abi: str
    source: str = ""
    revision: str | None = None
    build: str = ""
    artifact: str = ""
    header: str | None = None
    abilities: tuple[str, ...] = ("tcp", "udp")
    command: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    config: str | None = None
    requires: tuple[str, ...] = ()
    skip: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_git(self) -> bool:
        """Whether the source is a revision of a git repository."""
        return self.revision is not None

    def path(self, text: str) -> Path:
        """Give a path that the file names."""
        return (self.file.parent / text).resolve()


def find_file(start: Path | None = None) -> Path | None:
    """Find the ``testbed.toml``: as ``TESTBED_TOML`` says, else in the current folder or the nearest one above.

    Raises:
        ConfigError: The variable names no file.
    """
    given = os.environ.get(VARIABLE)
    if given:
        if not Path(given).is_file():
            raise ConfigError(f"{VARIABLE} names {given!r}, which is no file")
        return Path(given).absolute()
    folder = (start or Path.cwd()).absolute()
    return next((path for path in (one / FILE for one in (folder, *folder.parents)) if path.is_file()), None)


def foreign(start: Path | None = None) -> Mapping[str, Foreign]:
    """Give all LibOSes of the ``testbed.toml`` in force, by name; none where there is no such file.

    Raises:
        ConfigError: The file is wrong; says where, what was found and what is valid.
    """
    file = find_file(start)
    return {} if file is None else _load(file, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _load(file: Path, mtime_ns: int) -> Mapping[str, Foreign]:  # noqa: ARG001 (part of the key)
    return load(file)


def load(file: Path) -> Mapping[str, Foreign]:
    """Read one file; see :func:`foreign`."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no TOML: {error}") from error
    for key in document:
        if key != "libos":
            raise ConfigError(f"{file}: unknown table [{key}]; {near_misses(key, ['libos'])}")
    tables = document.get("libos", {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{file}: libos must be tables [libos.NAME], found {tables!r}")
    return {name: _read(file, name, table) for name, table in tables.items()}


def _read(file: Path, name: str, table: Any) -> Foreign:
    where = f"{file}: [libos.{name}]"
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, found {table!r}")
    abi = table.get("abi")
    if abi not in ABIS:
        found = "is missing" if abi is None else f"is {abi!r}"
        raise ConfigError(f"{where}: abi {found}; {near_misses(str(abi), ABIS) or ''}")
    valid = [key for key, (_, abis) in _KEYS.items() if abi in abis]
    for key, value in table.items():
        if key not in valid:
            raise ConfigError(f"{where}: key {key!r} is not known for abi {abi!r}; {near_misses(key, valid)}")
        if not _fits(value, _KEYS[key][0]):
            raise ConfigError(f"{where}: {key} must be {_KEYS[key][0]}, found {value!r}")
    for key in _MUST[abi]:
        if not table.get(key):
            raise ConfigError(f"{where}: {key} is missing; abi {abi!r} needs {', '.join(_MUST[abi])}")
    _check_names(where, table)
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    made = Foreign(name=name, file=file, **fields)
    _check_paths(where, made)
    return made


def _fits(value: Any, wanted: str) -> bool:
    if wanted == _LIST:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if wanted == _TABLE:
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    return isinstance(value, str)


def _check_names(where: str, table: Mapping[str, Any]) -> None:
    for ability in table.get("abilities", ()):
        if ability not in ABILITIES:
            raise ConfigError(f"{where}: abilities has {ability!r}; {near_misses(ability, ABILITIES)}")
    for pattern, reason in table.get("skip", {}).items():
        if not reason.strip():
            raise ConfigError(f"{where}: skip of {pattern!r} has no reason")
    artifact = Path(table.get("artifact", ""))
    if artifact.is_absolute() or ".." in artifact.parts:
        raise ConfigError(f"{where}: artifact {str(artifact)!r} must be a path inside of the source")


def _check_paths(where: str, made: Foreign) -> None:
    if made.config is not None and not made.path(made.config).is_file():
        raise ConfigError(f"{where}: config {made.config!r}: there is no file {made.path(made.config)}")
    if not made.source or made.is_git:
        return
    if "://" in made.source:
        raise ConfigError(f"{where}: source {made.source!r} is a URL, and revision is missing: which commit?")
    if not made.path(made.source).is_dir():
        raise ConfigError(f"{where}: source {made.source!r}: there is no folder {made.path(made.source)}")
