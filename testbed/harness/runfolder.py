# SPDX-License-Identifier: MIT
"""The folder of a run: named, made, never mixed with another's, and with some room in reserve for the last words."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from testbed import paths
from testbed.errors import ConfigError
from testbed.harness.records import CASES

if TYPE_CHECKING:
    from pathlib import Path

LATEST = "latest"
LOCK = ".lock"  # held while a run goes on; the lock ends with the process, however that ends
RESERVE = ".reserve"
RESERVE_BYTES = 256 << 10


def new_name() -> str:
    """Name a new run: local date and time, and four random hex digits, so that two runs at once differ."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def in_use(folder: Path) -> bool:
    """Say whether a run still goes on in a folder; one that was killed does not."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


class RunFolder:
    """The folder of one run.

    Args:
        path: Where it is or will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @classmethod
    def choose(cls, given: Path | None) -> RunFolder:
        """Choose the folder of a new run: the given one, else a new name below the folder of runs; makes nothing.

        Raises:
            ConfigError: The given one exists and is not an empty folder; it stays as it is.
        """
        if given is None:
            return cls(paths.runs_dir() / new_name())
        path = given.expanduser().absolute()
        if path.exists() and not path.is_dir():
            raise ConfigError(f"the run folder {path} exists and is no folder", hint="give --run-dir a new folder")
        if path.is_dir() and any(path.iterdir()):
            raise ConfigError(
                f"the run folder {path} exists and is not empty; nothing in it was touched",
                hint="give --run-dir a new or an empty folder, or remove this one yourself",
            )
        return cls(path)

    def make(self) -> None:
        """Make the folder and point ``latest`` beside it to it.

        Raises:
            ConfigError: It cannot be made.
        """
        try:
            (self.path / CASES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"cannot make the run folder {self.path}: {error.strerror}"
            raise ConfigError(
                what, hint="--run-dir DIR, or TESTBED_RUNS, names a folder that can be written"
            ) from error
        self._hold()
        self._keep_reserve()
        self._point_latest()

    def execution(self, suite: str, case: str, number: int) -> Path:
        """Give the folder of one execution; the names of two cases never agree (``identity.CaseId``)."""
        return self.path / CASES / suite / case / str(number)

    def relative(self, path: Path) -> str:
        """Give a path as ``run.json`` says it: below the run's folder."""
        return str(path.relative_to(self.path))

    def make_room(self) -> None:
        """Give up the reserve: the disk is full, and verdicts must still be written."""
        (self.path / RESERVE).unlink(missing_ok=True)

    def release(self) -> None:
        """Let go of the folder: the run has ended; again it does nothing."""
        if self._lock is not None:
            (self.path / LOCK).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _hold(self) -> None:
        """Hold the folder, so that nobody removes it while the run goes on; a file system without locks has none."""
        if self._lock is None:
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _keep_reserve(self) -> None:
        handle = os.open(self.path / RESERVE, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(handle, 0, RESERVE_BYTES)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSPC, errno.EFBIG}:
                raise
        finally:
            os.close(handle)

    def _point_latest(self) -> None:
        """Point ``latest`` to this run; a file or folder of the user's with that name stays."""
        link = self.path.parent / LATEST
        if link.exists() and not link.is_symlink():
            return
        temporary = self.path.parent / f".{LATEST}.{secrets.token_hex(4)}"
        with suppress(OSError):  # a convenience: its absence is no reason to lose a run
            temporary.symlink_to(self.path.name)
            temporary.replace(link)
