# SPDX-License-Identifier: MIT
"""Kernel sources: the distribution's newest, a tarball, or any tree of the user's, told apart by what is in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import paths
from testbed.errors import BuildError, CapabilityError, ConfigError
from testbed.libos.artifacts import sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping

DISTRIBUTION = Path("/usr/src")
LANDMARKS = ("Makefile", "Kconfig", "arch/um/Makefile", "init/main.c")

EXTRACT = ".extract."  # a folder beside the tree-to-be; one that a killed build left is removed by the next
_TARBALL = re.compile(r"linux-source-(\d+(?:\.\d+)*)\.tar\.\w+")
_SUFFIXES = (".tar", ".tar.xz", ".tar.gz", ".tgz", ".tar.bz2", ".tar.zst")
_ASSIGNMENT = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *= *(.*?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """Where a kernel's source is.

    Args:
        path: A tarball or the top folder of a tree.
        is_tarball: Which of the two.
    """

    path: Path
    is_tarball: bool


@dataclass(frozen=True)
class Release:
    """A kernel's version as its Makefile says it.

    Args:
        version: ``(6, 12)``.
        text: ``6.12.117``, with EXTRAVERSION.
    """

    version: tuple[int, int]
    text: str


def find_source(given: str | Path | None = None) -> Source:
    """Find the source that the user named, or the newest that the distribution has installed.

    Raises:
        ConfigError: What was named is neither a kernel tree nor a tarball.
        CapabilityError: Nothing was named and no ``linux-source`` package is installed.
    """
    if given is None:
        return Source(newest_tarball(DISTRIBUTION), is_tarball=True)
    path = Path(given).expanduser().absolute()
    if path.is_dir():
        read_release(path)
        return Source(path, is_tarball=False)
    if not path.exists():
        raise ConfigError(f"no kernel source at {path}: no such file or folder")
    if not path.name.endswith(_SUFFIXES):
        raise ConfigError(f"{path} is no kernel source: want a folder or a tarball ({', '.join(_SUFFIXES)})")
    return Source(path, is_tarball=True)


def newest_tarball(folder: Path) -> Path:
    """Give the tarball ``linux-source-X.Y.tar.*`` of the highest version; 6.12 is newer than 6.9.

    Raises:
        CapabilityError: There is none.
    """
    found = {
        tuple(int(part) for part in match.group(1).split(".")): path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := _TARBALL.fullmatch(path.name))
    }
    if not found:
        raise CapabilityError(
            f"no kernel source: no linux-source-*.tar.* in {folder}",
            hint="apt-get install linux-source, or give --source",
        )
    return found[max(found)]


def read_release(tree: Path) -> Release:
    """Read the version of a kernel tree.

    Raises:
        ConfigError: It is no kernel tree; the message says which landmarks are missing.
    """
    missing = [name for name in LANDMARKS if not (tree / name).is_file()]
    if missing:
        raise ConfigError(
            f"{tree} is not a Linux kernel tree: looked for {', '.join(LANDMARKS)}; missing {', '.join(missing)}",
            hint="give the top folder of the tree",
        )
    text = (tree / "Makefile").read_text(errors="replace")
    fields = dict(_ASSIGNMENT.findall(text))
    if not fields.get("VERSION", "").isdigit() or not fields.get("PATCHLEVEL", "").isdigit():
        raise ConfigError(f"{tree}/Makefile does not say VERSION and PATCHLEVEL: not a Linux kernel tree")
    release = f"{fields['VERSION']}.{fields['PATCHLEVEL']}"
    if fields.get("SUBLEVEL", ""):
        release += f".{fields['SUBLEVEL']}"
    return Release((int(fields["VERSION"]), int(fields["PATCHLEVEL"])), release + fields.get("EXTRAVERSION", ""))


def extract(tarball: Path, target: Path) -> None:
    """Unpack a tarball whose one top folder is a kernel tree.

    Args:
        tarball: Any compression that tar knows.
        target: Folder that becomes the tree; must not exist.

    Raises:
        BuildError: tar failed.
        ConfigError: What is in it is no kernel tree.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=EXTRACT, dir=target.parent) as folder:
        command = ["tar", "--no-same-owner", "-xf", str(tarball), "-C", folder]
        env = {**os.environ, "XZ_DEFAULTS": "-T0"}  # the distribution's tarballs have blocks: all CPUs can work on one
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        if result.returncode:
            raise BuildError(f"cannot unpack {tarball}: {' '.join(command)}: {result.stderr.strip()[-500:]}")
        entries = list(Path(folder).iterdir())
        tree = entries[0] if len(entries) == 1 and entries[0].is_dir() else Path(folder)
        try:
            read_release(tree)
        except ConfigError as error:
            message = error.message.replace(str(tree), str(tarball))
            raise ConfigError(message, hint="give a tarball with one kernel tree in it") from error
        if tree == Path(folder):
            target.mkdir()
            for entry in entries:
                entry.rename(target / entry.name)
        else:
            tree.rename(target)


@dataclass(frozen=True)
class Tarball:
    """What is remembered of a tarball: its SHA-256, and the release in it (None before it was unpacked once)."""

    sha256: str
    release: Release | None


def describe_tarball(tarball: Path) -> Tarball:
    """Give a tarball's digest and release, from memory where its size and times are unchanged."""
    known = _read_json(_memory()).get(str(tarball))
    status = tarball.stat()
    stamp = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    if isinstance(known, dict) and known.get("stamp") == stamp:
        release = known.get("release")
        return Tarball(known["sha256"], Release((release[0], release[1]), release[2]) if release else None)
    digest = sha256_file(tarball)
    _remember(tarball, {"stamp": stamp, "sha256": digest, "release": None})
    return Tarball(digest, None)


def remember_release(tarball: Path, release: Release) -> None:
    """Remember the release in a tarball, so that its artifact can be named without unpacking it."""
    known = _read_json(_memory()).get(str(tarball))
    if isinstance(known, dict):
        _remember(tarball, {**known, "release": [*release.version, release.text]})


def _memory() -> Path:
    return paths.cache_dir() / "linux" / "tarballs.json"


def _remember(tarball: Path, fields: Mapping[str, Any]) -> None:
    path = _memory()
    path.parent.mkdir(parents=True, exist_ok=True)
    everything = {**_read_json(path), str(tarball): fields}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as stream:
        json.dump(everything, stream, indent=1)
    Path(stream.name).replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
