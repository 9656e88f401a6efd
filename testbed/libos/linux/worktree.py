# SPDX-License-Identifier: MIT
"""Working trees: a kernel tree of our own that shares what is unchanged with its source, patched, and rebuilt in place.

A tarball is unpacked into it. For a folder of the user's it is a tree of symbolic links: the source may lie on another
file system, belong to somebody else, be a dirty git checkout or be built in place, and nothing here can write to it (a
hard link would share its data with whatever edits in place). A file that a patch touches, or whose content has changed
since the last build, becomes a copy with a new modification time, so that make sees every change, also one back to
older bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import paths
from testbed.libos.artifacts import sha256_file
from testbed.libos.linux import patches as patching
from testbed.libos.linux import source as sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STAGE, _UNFINISHED = "stage.", ".unfinished."
BUILD = "tb-build"  # kbuild's output folder; inside the tree, so that all paths in objects are relative

# What a build in place leaves in a tree (from the kernel's own .gitignore); none of it is source.
_BUILT_SUFFIXES = (
    ".o", ".a", ".ko", ".cmd", ".mod", ".mod.c", ".order", ".lds", ".so", ".so.dbg", ".symvers", ".tab.c", ".tab.h",
    ".lex.c", ".asn1.c", ".asn1.h", ".elf", ".d", ".i", ".s", ".lst", ".symtypes", ".gcno", ".gcda", ".su", ".ll",
)  # fmt: skip
_BUILT_NAMES = {
    ".config", ".config.old", ".version", ".missing-syscalls.d", "vmlinux", "linux", "System.map", "Module.symvers",
    "modules.builtin", "modules.builtin.modinfo", "built-in.a", "vmlinux.map", "compile_commands.json",
}  # fmt: skip
# Generated sources: make would find them beside the real ones instead of generating them for this configuration.
_BUILT_FILES = {
    "arch/um/kernel/config.c", "arch/um/kernel/config.tmp", "arch/um/kernel/capflags.c", "lib/crc32table.h",
    "lib/crc64table.h", "lib/oid_registry_data.c", "kernel/config_data", "kernel/config_data.gz",
    "kernel/kheaders_data.tar.xz", "usr/initramfs_data.cpio", "usr/initramfs_inc_data", "scripts/mod/elfconfig.h",
    "scripts/mod/devicetable-offsets.h",
    "scripts/kconfig/.conf-cfg", "drivers/tty/vt/consolemap_deftbl.c", "drivers/tty/vt/defkeymap.c",
    "arch/x86/lib/inat-tables.c",
}  # fmt: skip
_BUILT_FOLDERS = {"include/generated", "include/config", ".git", BUILD, "debian/build", "rust/target"}


@dataclass(frozen=True)
class Entry:
    """One file of a source folder: its identity for the file system and its content's SHA-256."""

    stamp: tuple[int, int, int, int]
    sha256: str


class WorkTree:
    """One source's working tree in the cache; use it under :meth:`locked`.

    Args:
        source: The tarball or folder.
        base: Folder that all working trees are in; default in the cache folder.
    """

    def __init__(self, source: sources.Source, base: Path | None = None) -> None:
        self.source = source
        key = hashlib.sha256(str(source.path).encode()).hexdigest()
        if source.is_tarball:
            key = sources.describe_tarball(source.path).sha256
        self.folder = (base or paths.cache_dir() / "linux" / "work") / key[:12]
        self.tree = self.folder / "tree"
        self.build = self.tree / BUILD

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of this working tree; what killed ones left of temporary files is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what only a live holder of the lock uses: half-unpacked trees, stages of patches, unfinished files."""
        for prefix in (sources.EXTRACT, _STAGE, _UNFINISHED):
            for leftover in self.folder.glob(f"{prefix}*"):
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)

    def prepare(self) -> str:
        """Bring the tree up to the source's present state, without patches.

        Returns:
            The digest of the source: a tarball's SHA-256, or that over all names, modes and contents of a folder.
        """
        if self.source.is_tarball:
            if not self.tree.is_dir():
                sources.extract(self.source.path, self.tree)
                sources.remember_release(self.source.path, sources.read_release(self.tree))
            return sources.describe_tarball(self.source.path).sha256
        return self._link()

    def apply(self, patches: Sequence[Path]) -> None:
        """Make the tree the source plus these patches, touching only files whose content changes.

        Raises:
            BuildError: A patch does not apply; the tree is then as it was before.
        """
        before = set(self._state().get("copied", []))
        with tempfile.TemporaryDirectory(prefix=_STAGE, dir=self.folder) as stage:
            patched = patching.apply(patches, self.original, Path(stage))
            self._note(copied=sorted(before | set(patched)))
            for name in before | set(patched):
                self._install(name, patched[name] if name in patched else self.original(name))

    def original(self, name: str) -> Path | None:
        """Give the unpatched file of that name, or None where the source has none."""
        saved = self.folder / "original" / name
        path = saved if saved.exists() else (self.tree if self.source.is_tarball else self.source.path) / name
        if saved.with_name(saved.name + ".absent").exists() or not path.is_file():
            return None
        return path

    def _install(self, name: str, wanted: Path | None) -> None:
        target = self.tree / name
        content = wanted.read_bytes() if wanted is not None else None
        mode = wanted.stat().st_mode & 0o777 if wanted is not None else 0
        present = target.read_bytes() if target.is_file() else None
        if content == present:
            return
        if self.source.is_tarball:
            self._save_original(name)
        target.unlink(missing_ok=True)
        if content is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(mode | 0o600)

    def _save_original(self, name: str) -> None:
        saved = self.folder / "original" / name
        absent = saved.with_name(saved.name + ".absent")
        if saved.exists() or absent.exists():
            return
        saved.parent.mkdir(parents=True, exist_ok=True)
        if (self.tree / name).is_file():
            shutil.copy2(self.tree / name, saved)
        else:
            absent.touch()

    def _link(self) -> str:
        """Make or update the tree of links; give the digest of the folder."""
        known = self._read_index()
        copied = set(self._state().get("copied", []))
        index: dict[str, Entry] = {}
        digest = hashlib.sha256()
        for name in source_files(self.source.path):
            index[name] = entry = _entry(self.source.path / name, known.get(name))
            digest.update(f"{name}\0{entry.sha256}\n".encode())
            target = self.tree / name
            if name not in known or not os.path.lexists(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                target.symlink_to(self.source.path / name)
            elif known[name].sha256 != entry.sha256 and name not in copied:
                target.unlink()
                shutil.copy(self.source.path / name, target)
                copied.add(name)
        for name in known.keys() - index.keys():
            (self.tree / name).unlink(missing_ok=True)
        self._write_index(index)
        self._note(copied=sorted(copied))
        return digest.hexdigest()

    def _read_index(self) -> dict[str, Entry]:
        try:
            raw = json.loads((self.folder / "index.json").read_text())
            return {name: Entry((s[0], s[1], s[2], s[3]), sha) for name, (s, sha) in raw.items()}
        except (OSError, ValueError):
            shutil.rmtree(self.tree, ignore_errors=True)
            return {}

    def _write_index(self, index: dict[str, Entry]) -> None:
        raw = {name: [list(entry.stamp), entry.sha256] for name, entry in index.items()}
        _replace(self.folder / "index.json", json.dumps(raw))

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads((self.folder / "state.json").read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _note(self, **fields: Any) -> None:
        _replace(self.folder / "state.json", json.dumps({**self._state(), **fields}))

    def objects(self) -> int | None:
        """Give the number of steps that a full build of this tree took, where one is remembered."""
        count = self._state().get("objects")
        return count if isinstance(count, int) else None

    def remember_objects(self, count: int) -> None:
        """Remember the number of steps of a full build."""
        self._note(objects=count)


def source_files(folder: Path) -> Iterator[str]:
    """List the source files of a kernel tree in a fixed order: names below it, without what a build in place left."""
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(folder / below) as entries:
            found = sorted(entries, key=lambda entry: entry.name, reverse=True)
        folders = []
        for entry in reversed(found):
            name = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if name not in _BUILT_FOLDERS and not (
                    entry.name in {".tmp_versions", ".git"}
                    or (below.startswith("arch/") and name.endswith("include/generated"))
                ):
                    folders.append(name + "/")
            elif name not in _BUILT_FILES and not _is_built(entry.name, folder / name):
                yield name
        pending += reversed(folders)


def _is_built(name: str, path: Path) -> bool:
    if name in _BUILT_NAMES or name.startswith(".tmp_") or (name.startswith(".") and name.endswith(".cmd")):
        return True
    if name.endswith(_BUILT_SUFFIXES):
        return not name.endswith((".S", ".lds.S"))
    if "." not in name and os.access(path, os.X_OK) and path.is_file():
        with path.open("rb") as stream:  # a host program such as scripts/basic/fixdep
            return stream.read(4) == b"\x7fELF"
    return False


def _entry(path: Path, known: Entry | None) -> Entry:
    status = path.lstat()
    stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if known is not None and known.stamp == stamp:
        return known
    executable = "x" if status.st_mode & 0o100 else "-"
    if path.is_symlink():
        return Entry(stamp, "->" + str(path.readlink()))
    return Entry(stamp, executable + sha256_file(path))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=_UNFINISHED, delete=False) as stream:
        stream.write(text)
    Path(stream.name).replace(path)
