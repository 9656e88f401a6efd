# SPDX-License-Identifier: MIT
"""A container as a CI's users have it: no privilege, hardly anything to write to, and a kernel that refuses much.

Made with bubblewrap: a user namespace in which we are an ordinary user, no new privileges, no capability, read-only
mounts of the host, a ``/dev`` of the least, a ``/dev/shm`` as Docker mounts it, and Docker's filter of system calls.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.ci import seccomp

USER = 65534
_TIMEOUT_S = 120
_CHECKOUT = Path(__file__).parents[2]
SMALL_SHM_BYTES = 64 << 20  # Docker's default


@dataclass
class Container:
    """What a container is made of.

    Args:
        home: Read-only to what runs in it, but for the cache in it.
        work: The folder in which a job works.
        env: Its whole environment.
        shm: How ``/dev/shm`` is: ``docker`` (64 MiB, nothing can be executed there), ``roomy``, ``none``.
        shm_bytes: Its size.
        tmp_bytes: Size of ``/tmp``.
        refused: System calls that are refused beside Docker's.
        read_only: Whether the cache and the job's folder are read-only, too.
    """

    home: Path
    work: Path
    env: dict[str, str] = field(default_factory=dict)
    shm: str = "docker"
    shm_bytes: int = SMALL_SHM_BYTES
    tmp_bytes: int = 2 << 30
    refused: tuple[str, ...] = ()
    read_only: bool = False

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a fresh one."""
        with tempfile.TemporaryFile() as filtered:
            filtered.write(seccomp.docker(*self.refused))
            filtered.seek(0)
            words = [
                *self._prepared(),
                "bwrap",
                *self._mounts(),
                *self._limits(),
                "--seccomp",
                str(filtered.fileno()),
                "--",
                *argv,
            ]
            return subprocess.run(
                words,
                env=self.env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_S,
                pass_fds=(filtered.fileno(),),
            )

    def _prepared(self) -> list[str]:
        """Mount a ``/dev/shm`` from which nothing can be executed, in a mount namespace around: bubblewrap cannot."""
        if self.shm != "docker":
            return []
        self._shm.mkdir(exist_ok=True)
        options = f"noexec,nosuid,nodev,mode=1777,size={self.shm_bytes}"
        script = f'mount -t tmpfs -o {options} tmpfs "{self._shm}" && exec "$@"'
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return ["unshare", *user, "--mount", "sh", "-c", script, "sh"]

    @property
    def _shm(self) -> Path:
        return self.home.parent / "shm"

    def _mounts(self) -> list[str]:
        cache = self.home / ".cache" / "testbed"
        words = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
        words += ["--size", str(self.tmp_bytes), "--tmpfs", "/tmp", "--ro-bind", str(_CHECKOUT), str(_CHECKOUT)]
        if self.shm == "none":
            devices = [word for name in ("null", "urandom") for word in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]
            words += ["--tmpfs", "/dev", *devices, "--remount-ro", "/dev"]
        elif self.shm == "docker":
            words += ["--bind", str(self._shm), "/dev/shm"]
        else:
            words += ["--size", str(self.shm_bytes), "--tmpfs", "/dev/shm"]
        words += ["--ro-bind", str(self.home), str(self.home)]
        kind = "--ro-bind" if self.read_only else "--bind"
        for folder in (cache, self.work):
            words += [kind, str(folder), str(folder)]
        return [*words, "--chdir", str(self.work)]

    def _limits(self) -> list[str]:
        spaces = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"]
        return [
            *spaces,
            "--uid",
            str(USER),
            "--gid",
            str(USER),
            "--cap-drop",
            "ALL",
            "--die-with-parent",
            "--new-session",
        ]
