# SPDX-License-Identifier: MIT
"""The default backend: a User-Mode Linux guest in time-travel mode holds the whole topology, in virtual time."""

from __future__ import annotations

import functools
import os
import shutil
import socket
from typing import TYPE_CHECKING, Any

from testbed.backends.artifacts import Artifacts, find_artifacts, identify, release_of
from testbed.backends.base import Backend, BackendOptions, Recorder
from testbed.backends.child import Child
from testbed.backends.guest import SETTLE_NS, START_NS, Guest, StatusPage
from testbed.backends.host import check_host
from testbed.backends.memory import memory_folder
from testbed.backends.network import Network
from testbed.backends.recorders import NullRecorder
from testbed.backends.scratch import CpuSlot, Scratch
from testbed.backends.session import Session
from testbed.errors import CapabilityError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.scenarios.topology import Topology

_CHANNEL_FD, _STATUS_FD = 3, 4
_SEED_LIMIT = 1 << 64
_ROOTFS_FOLDERS = ("proc", "sys", "dev", "lower", "upper", "root")
_BUFFER = 1 << 20


class TimeTravelBackend(Backend):
    """A guest per network; needs no privilege, and the same seed gives the same bits."""

    name = "timetravel"
    virtual_time = True
    promises_identical_bits = True

    def capabilities(self, options: BackendOptions | None = None) -> frozenset[str]:
        """Boot a guest and ask it what its kernel can do; once per process and kernel."""
        given = options or BackendOptions()
        return _capabilities(find_artifacts(given.kernel, given.agent))

    def own_release(self) -> str | None:
        """Give the release of the kernel that ``testbed build`` makes by default; None with ``TESTBED_LINUX``."""
        return release_of(find_artifacts(None, None).kernel) if "TESTBED_LINUX" not in os.environ else None

    def up(
        self,
        topology: Topology,
        *,
        seed: int = 1,
        recorder: Recorder | None = None,
        options: BackendOptions | None = None,
    ) -> Network:
        """Boot a fresh guest and bring the topology up in it; see :meth:`Backend.up`."""
        if not 0 <= seed < _SEED_LIMIT:
            raise ConfigError(f"a seed is a number from 0 to 2**64 - 1, not {seed!r}")
        given = options or BackendOptions()
        artifacts = find_artifacts(given.kernel, given.agent)
        session = start_guest(artifacts, seed=seed, recorder=recorder or NullRecorder(), options=given)
        try:
            session.send_hello([os.fspath(path) for path in given.shares])
            return Network(
                session,
                topology,
                backend=self.name,
                virtual_time=True,
                seed=seed,
                options=given,
                settle_ns=SETTLE_NS,
                artifacts=identify(artifacts.kernel, artifacts.agent),
                greet=lambda: self.greet(session),
            )
        except BaseException:
            session.close()
            raise

    def greet(self, session: Session) -> dict[str, Any]:
        """Give the greeting of a guest that has booted; from then on it stands frozen until somebody asks for more."""
        return session.take_hello()


def start_guest(artifacts: Artifacts, *, seed: int, recorder: Recorder, options: BackendOptions) -> Session:
    """Start a guest; it boots while we go on, and the first request waits for it.

    Raises:
        CapabilityError: This host cannot start one.
    """
    check_host()
    scratch, slot, page = Scratch(), CpuSlot(), StatusPage()

    def clean_up() -> None:
        page.close()
        slot.close()
        scratch.close()

    here, there = socket.socketpair()
    try:
        for end in (here, there):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        rootfs = _rootfs(artifacts.agent, scratch.path)
        launcher = [
            _env_program(),
            "-C",
            os.fspath(rootfs),
            os.fspath(rootfs / "agent"),
            "guest",
            "--cpu",
            str(slot.cpu),
            "--",
        ]
        child = Child(
            [*launcher, os.fspath(artifacts.kernel), *kernel_words(seed, options.memory_mib, spin_ms=options.spin_ms)],
            env=_environment(scratch.path, options.memory_mib),
            fds={_CHANNEL_FD: there.fileno(), _STATUS_FD: page.fd},
            log=recorder.console_path or scratch.path / "console.log",
        )
    except BaseException:
        here.close()
        clean_up()
        raise
    finally:
        there.close()
    guest = Guest(child, page, stall_s=options.stall_s, wall_limit_s=options.wall_limit_s, clean_up=clean_up)
    return Session(here, guest, recorder, reads_host=True)


def kernel_words(seed: int, memory_mib: int, *, spin_ms: int = 0) -> list[str]:
    """Give the kernel's command line: the same words but for the seed, as the kernel mixes them into its RNG."""
    return [
        f"mem={memory_mib}M",
        "time-travel=inf-cpu",
        f"time-travel-start={START_NS}",
        "root=none",
        "rootfstype=hostfs",
        "rootflags=.",
        "ro",
        "init=/agent",
        "con=null",
        "ssl=null",
        "stderr=1",
        "loglevel=5",
        "norandmaps",
        "tb_hostfs_ro",
        f"tb_channel={_CHANNEL_FD}",
        f"tb_status={_STATUS_FD}",
        f"tb_seed={seed}",
        *([f"tb_spin_ms={spin_ms}"] if spin_ms else []),
    ]


@functools.cache
def _capabilities(artifacts: Artifacts) -> frozenset[str]:
    session = start_guest(artifacts, seed=1, recorder=NullRecorder(), options=BackendOptions())
    try:
        return frozenset(session.hello([])["capabilities"])
    finally:
        session.close()


def _rootfs(agent: Path, scratch: Path) -> Path:
    """Give the folder that a guest starts in: the artifact's own, or one made around a bare program."""
    if all((agent / name).exists() for name in ("agent", *_ROOTFS_FOLDERS)):
        return agent
    program = agent / "agent" if agent.is_dir() else agent
    root = scratch / "rootfs"
    for name in _ROOTFS_FOLDERS:
        (root / name).mkdir(parents=True)
    shutil.copy2(program, root / "agent")
    return root


def _environment(scratch: Path, memory_mib: int) -> dict[str, str]:
    """Give the guest's environment: fixed, but for folders that only it uses (the kernel's pid file, its memory)."""
    memory = os.fspath(memory_folder(scratch, memory_mib))
    return {"PATH": "/usr/bin:/bin", "HOME": os.fspath(scratch), "TMPDIR": memory}


@functools.cache
def _env_program() -> str:
    found = shutil.which("env")
    if found is None:
        raise CapabilityError("starting a guest needs env(1)", hint="install coreutils")
    return found
