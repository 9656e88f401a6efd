# SPDX-License-Identifier: MIT
"""The store of built things: a folder's name says what it was made from, so nothing is built twice, nothing stale."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed import paths
from testbed.errors import BuildError, CapabilityError, ConfigError, InternalError

MANIFEST = "manifest.json"
LOG = "build.log"
FORMAT = 1
KEY_CHARS = 12
LOCKS = ".locks"
USED = ".used"  # after an artifact's name in LOCKS: locked by processes that use it, its time is that of the last use
_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]*")
_CHUNK_BYTES = 1 << 20

Build = Callable[[Path], None]


@dataclass(frozen=True)
class Artifact:
    """One built thing.

    Args:
        path: Its folder; never changed after it was published.
        manifest: What ``manifest.json`` says: ``format``, ``name``, ``key``, ``inputs``, ``outputs`` (path to
            ``sha256`` and ``bytes``), ``build_s`` (seconds of wall time).
        fresh: True when this call built it, False when it came from the store.
        instead: Where this machine lacks what a build takes and an artifact of the same sources was in the store: that
            in words.
    """

    path: Path
    manifest: Mapping[str, Any]
    fresh: bool = False
    instead: str = ""

    @property
    def key(self) -> str:
        """Give the SHA-256 over the canonical inputs, 64 hex digits."""
        return str(self.manifest["key"])

    def file(self, name: str) -> Path:
        """Give the path of one output.

        Raises:
            InternalError: The artifact has no such output.
        """
        if name not in self.manifest["outputs"]:
            have = ", ".join(sorted(self.manifest["outputs"]))
            raise InternalError(f"artifact {self.path.name} has no file {name!r}; it has {have}")
        return self.path / name

    def digest(self, name: str) -> str:
        """Give the SHA-256 of one output, 64 hex digits."""
        self.file(name)
        return str(self.manifest["outputs"][name]["sha256"])


def sha256_file(path: Path) -> str:
    """Digest a file's bytes: 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def key_of(name: str, inputs: Mapping[str, Any]) -> str:
    """Digest a name and inputs in canonical form (JSON, keys sorted): 64 hex digits.

    Raises:
        InternalError: An input is not plain data (str, int, bool, None, list, dict of these).
    """
    try:
        text = json.dumps([FORMAT, name, inputs], sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InternalError(f"inputs of artifact {name!r} are not plain data: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


_held: dict[Path, int] = {}


def hold(program: Path) -> None:
    """Keep the artifact that a program is part of from being pruned, and mark it as used, while this process lives.

    Args:
        program: A file or folder of an artifact; of anything else nothing is done.
    """
    folder = next((path for path in (program, *program.parents[:2]) if (path / MANIFEST).is_file()), None)
    locks = folder.parent / LOCKS if folder is not None else None
    if folder is None or locks is None or folder in _held or not locks.is_dir():
        return
    try:
        handle = os.open(locks / f"{folder.name}{USED}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return  # another user's store
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.utime(handle)
    _held[folder] = handle


class ArtifactStore:
    """A folder of artifacts, shared by all runs of a user.

    Args:
        root: Folder of the store; default ``artifacts`` in the cache folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else paths.cache_dir() / "artifacts"

    def get(self, name: str, inputs: Mapping[str, Any]) -> Artifact | None:
        """Give a published artifact, or None where there is none or it is damaged."""
        return self._load(self._folder(name, inputs), key_of(name, inputs))

    def get_or_build(self, name: str, inputs: Mapping[str, Any], build: Build) -> Artifact:
        """Give the artifact of these inputs; build it where it is missing or damaged.

        Of several runs that ask at once, one builds and the others wait for it.

        Args:
            name: What it is, ``linux-6.12.117`` for example; the folder's name starts with it.
            inputs: Plain data that determines the outputs: digests, options, versions of tools.
            build: Fills the empty folder it is given. The folder is published when it returns. A file ``build.log``
                in it is kept (:meth:`failed_log`) when ``build`` raises.

        Returns:
            The artifact.

        Raises:
            ConfigError: The name cannot be a folder's name.
            BuildError: ``build`` left nothing, or raised it itself.
        """
        key = key_of(name, inputs)
        folder = self._folder(name, inputs)
        found = self._load(folder, key)
        if found is not None:
            return found
        with self._locked(folder.name):
            found = self._load(folder, key)
            if found is not None:
                return found
            return self._build(name, inputs, key, folder, build)

    def stored(
        self, name: str, inputs: Mapping[str, Any], lack: CapabilityError, tools: Collection[str]
    ) -> Artifact | None:
        """Give an artifact that other tools have built from the same, for a machine on which nothing can be built.

        Args:
            name: What it is.
            inputs: What determines it, without the tools.
            lack: Why it cannot be built here.
            tools: The inputs that are left out.

        Returns:
            The one that was built last, or None where there is none.
        """
        found = [
            artifact
            for artifact in self.all()
            if artifact.manifest.get("name") == name and _without(artifact.manifest["inputs"], tools) == inputs
        ]
        if not found:
            return None
        last = max(found, key=lambda artifact: ((artifact.path / MANIFEST).stat().st_mtime_ns, artifact.path.name))
        return replace(last, instead=f"{last.path.name} from the store, of the same sources: {lack.message}")

    def failed_log(self, name: str, inputs: Mapping[str, Any]) -> Path:
        """Say where the log of a failed build is kept."""
        return self.root / "failed" / f"{self._folder(name, inputs).name}.log"

    def all(self) -> list[Artifact]:
        """List what is published and whole, by name."""
        folders = sorted(path for path in self.root.glob("*") if (path / MANIFEST).is_file())
        return [found for folder in folders if (found := self._load(folder, None)) is not None]

    def _folder(self, name: str, inputs: Mapping[str, Any]) -> Path:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"artifact name {name!r} is not of lower-case letters, digits and . _ + -")
        return self.root / f"{name}-{key_of(name, inputs)[:KEY_CHARS]}"

    def _build(self, name: str, inputs: Mapping[str, Any], key: str, folder: Path, build: Build) -> Artifact:
        self._sweep(folder.name)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=self.root))
        temporary.chmod(0o755)
        started = time.monotonic()
        try:
            build(temporary)
            outputs = _describe(name, temporary)
            manifest = {
                "format": FORMAT,
                "name": name,
                "key": key,
                "inputs": inputs,
                "outputs": outputs,
                "build_s": round(time.monotonic() - started, 3),
            }
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
            self._publish(temporary, folder)
        except BaseException:
            self._keep_log(temporary, self.failed_log(name, inputs))
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return Artifact(folder, manifest, fresh=True)

    def _sweep(self, ours: str) -> None:
        """Remove what killed builds left: temporary folders whose lock nobody holds, or we do."""
        for leftover in self.root.glob(".*.*"):
            name = leftover.name.rpartition(".")[0].lstrip(".").removeprefix("damaged-")
            if name == ours or self._is_free(name):
                shutil.rmtree(leftover, ignore_errors=True)

    def _is_free(self, name: str) -> bool:
        try:
            with (self.root / LOCKS / name).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False  # held, or nothing of this store
        return True

    def _publish(self, temporary: Path, folder: Path) -> None:
        if folder.exists():  # damaged: _load refused it under the lock
            grave = Path(tempfile.mkdtemp(prefix=f".damaged-{folder.name}.", dir=self.root))
            folder.rename(grave / folder.name)
            temporary.rename(folder)
            shutil.rmtree(grave, ignore_errors=True)
        else:
            temporary.rename(folder)

    def _keep_log(self, temporary: Path, target: Path) -> None:
        log = temporary / LOG
        if log.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            log.replace(target)

    def _load(self, folder: Path, key: str | None) -> Artifact | None:
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
        except (OSError, ValueError):
            return None
        if not _is_whole(folder, manifest) or (key is not None and manifest["key"] != key):
            return None
        return Artifact(folder, manifest)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        locks = self.root / LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield  # the lock ends with the file, also when the process is killed


def _without(inputs: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if name not in names}


def _describe(name: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Digest every file: path below the folder to ``sha256`` and ``bytes``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    if all(path.name == LOG for path in files):
        raise BuildError(f"the build of {name} left no file in {folder}")
    return {
        str(path.relative_to(folder)): {"sha256": sha256_file(path), "bytes": path.stat().st_size} for path in files
    }


def _is_whole(folder: Path, manifest: Any) -> bool:
    """Check every output's size and digest against the manifest.

    A digest that matched once is remembered by inode, size and change time in ``.checked``, so that a launch does not
    read megabytes again: any write to the file changes its change time.
    """
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not {"key", "outputs"} <= manifest.keys():
        return False
    stamp: list[list[int | str]] = []
    for name, output in manifest["outputs"].items():
        try:
            status = (folder / name).stat()
        except OSError:
            return False
        if status.st_size != output["bytes"]:
            return False
        stamp.append([name, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, output["sha256"]])
    checked = folder / ".checked"
    text = json.dumps(stamp)
    try:
        if checked.read_text() == text:
            return True
    except (OSError, ValueError):
        pass  # not checked yet
    if any(sha256_file(folder / name) != output["sha256"] for name, output in manifest["outputs"].items()):
        return False
    _write_atomically(checked, text)
    return True


def _write_atomically(path: Path, text: str) -> None:
    try:
        handle, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    except OSError:
        return  # a read-only store: check again next time
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    Path(temporary).replace(path)
