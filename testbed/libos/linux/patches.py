# SPDX-License-Identifier: MIT
"""Patches: which of our series fits a kernel, and applying patches to copies of the files they touch, nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import BuildError, CapabilityError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FOLDER = Path(__file__).resolve().parent / "patches"

_HEADER = re.compile(r"^(?:---|\+\+\+) (\S+)", re.MULTILINE)
_FAILED = re.compile(r"^Hunk #(\d+) (?:FAILED|ignored) at (\d+)", re.MULTILINE)
_FILE = re.compile(r"^(?:patching|checking) file '?([^'\n]+?)'?(?: \(.*\))?$")


def series_for(version: tuple[int, int], folder: Path = FOLDER) -> list[Path]:
    """List the patches of the series for a kernel, in order.

    The series of the newest version that is not newer than the kernel is taken; a kernel older than all gets the
    oldest.

    Args:
        version: Version and patch level, ``(6, 12)``.
        folder: Holds one folder per series, named by version.
    """
    series = {_version_of(path): path for path in folder.iterdir() if path.is_dir() and any(path.glob("*.patch"))}
    if not series:
        return []
    fitting = [known for known in series if known <= version]
    return sorted(series[max(fitting) if fitting else min(series)].glob("*.patch"))


def touched_files(patch: Path) -> list[str]:
    """List the files that a patch changes, creates or removes: paths below the tree, in the patch's order.

    Raises:
        ConfigError: It is no patch in unified format, or it names a file outside the tree.
    """
    try:
        text = patch.read_text(errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"cannot read the patch {patch}: {error.strerror}") from error
    names: dict[str, None] = {}
    for found in _HEADER.finditer(text):
        name = found.group(1)
        if name == "/dev/null":
            continue
        stripped = name.partition("/")[2]
        if not stripped or ".." in Path(stripped).parts or stripped.startswith("/"):
            continue
        names[stripped] = None
    if not names:
        raise ConfigError(
            f"{patch} is not a patch in unified format with a/ and b/ paths", hint="make it with git format-patch"
        )
    return list(names)


def apply(patches: Sequence[Path], original: Callable[[str], Path | None], stage: Path) -> dict[str, Path | None]:
    """Apply patches to copies; the tree itself is only read.

    Args:
        patches: In order.
        original: Gives the unpatched file of a name below the tree, or None.
        stage: An empty folder for the copies.

    Returns:
        Every touched file (path below the tree) with its patched copy in the stage, or None where a patch removed it.

    Raises:
        BuildError: A patch does not apply; the message names the patch, the files and the hunks.
        CapabilityError: The program ``patch`` is missing.
    """
    names: dict[str, None] = {}
    for patch in patches:
        for name in touched_files(patch):
            names[name] = None
    for name in names:
        if (path := original(name)) is not None:
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, stage / name)
            (stage / name).chmod((stage / name).stat().st_mode | 0o600)
    for patch in patches:
        _apply_one(patch, stage)
    return {name: stage / name if (stage / name).is_file() else None for name in names}


def _apply_one(patch: Path, stage: Path) -> None:
    command = ["patch", "-p1", "--fuzz=0", "--forward", "--batch", "--no-backup-if-mismatch", "--reject-file=-"]
    try:
        result = subprocess.run(
            [*command, "-i", str(patch.absolute())],
            cwd=stage,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise CapabilityError("the program 'patch' is missing", hint="apt-get install patch") from error
    if result.returncode:
        raise BuildError(
            f"patch {patch.name} does not apply:\n{_what_failed(patch, stage, result.stdout + result.stderr)}",
            hint=f"it must apply without fuzz after the patches before it; its path is {patch}",
        )


def _what_failed(patch: Path, stage: Path, output: str) -> str:
    lines, current = [], "?"
    for line in output.splitlines():
        if found := _FILE.match(line):
            current = found.group(1)
        elif found := _FAILED.match(line):
            lines.append(f"  {current}: hunk #{found.group(1)} fails at line {found.group(2)}")
        elif "previously applied" in line:
            lines.append(f"  {current}: already has this change")
    missing = [name for name in touched_files(patch) if not (stage / name).exists()]
    if not lines:
        lines = [f"  {name}: no such file in the tree" for name in missing]
    return "\n".join(lines or [f"  {line}" for line in output.splitlines()[-5:]])


def _version_of(folder: Path) -> tuple[int, int]:
    major, _, minor = folder.name.partition(".")
    return int(major), int(minor)
