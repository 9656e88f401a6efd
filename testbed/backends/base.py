# SPDX-License-Identifier: MIT
"""What a backend is, what it may be told, and who writes down what happens in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from testbed.backends.network import Network
    from testbed.libos.foreign_flavor import Wrapper
    from testbed.scenarios.topology import Switch, Topology

CAPABILITIES = frozenset(
    {"netem", "tbf", "ipv6", "mptcp", "sctp", "dccp", "udplite", "xfrm", "nftables", "sock_diag", "tun"}
)
"""All that an agent can find in a kernel (``testbed/agent/src/capability.rs``)."""


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """What may be told to any backend beside the topology and the seed.

    Args:
        capture: Whether the frames of every link end are captured.
        full_bytes: Bytes of each link end that are captured whole; later frames are cut to ``snaplen``.
        snaplen: Bytes kept of a frame once ``full_bytes`` are used up.
        ring_bytes: Size of the kernel's capture ring.
        output_limit_bytes: Bytes that one process may write to stdout, and to stderr.
        memory_mib: Memory of a guest (``timetravel`` only).
        spin_ms: CPU time of the host after which a task without system calls yields, ms; 0 is never (``timetravel``).
        stall_s: Wall-clock seconds without any progress of a guest after which it is given up.
        wall_limit_s: Wall-clock seconds that a network may live in all; None is no limit.
        kernel: A ``linux`` artifact (or its program) to run instead of the one in the cache.
        agent: An agent (its program, or a folder with it) to run instead of the one in the cache.
        wrapper: A command around every program that runs in a node; None is none.
        shares: Folders of the host that nodes see although they lie below ``/tmp``, ``/run`` or the like.
        switch: What all switches are (``mininet`` only): one of ``topology.SWITCHES``; None is what each node says.
    """

    capture: bool = True
    full_bytes: int = 1 << 20
    snaplen: int = 128
    ring_bytes: int = 8 << 20
    output_limit_bytes: int = 64 << 20
    memory_mib: int = 512
    spin_ms: int = 0
    stall_s: float = 30.0
    wall_limit_s: float | None = None
    kernel: Path | None = None
    agent: Path | None = None
    shares: tuple[Path, ...] = ()
    wrapper: Wrapper | None = None
    switch: Switch | None = None


class Recorder(Protocol):
    """Writes down what happens in one network; every method returns at once and raises nothing of its own making.

    All times are nanoseconds of the network's clock. ``harness.records`` has the one that makes a Record;
    :class:`testbed.backends.recorders.NullRecorder` keeps no more than a live network needs.
    """

    @property
    def console_path(self) -> Path | None:
        """The file for the guest's stderr, or None for one that vanishes with the guest."""

    def command(self, name: str, fields: Mapping[str, object], start_ns: int, end_ns: int) -> None:
        """Take one operation: its name and its canonical fields (JSON-able, free of host paths)."""

    def process_started(
        self,
        process: int,
        node: str,
        *,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        start_ns: int,
    ) -> None:
        """Take the start of a process; ``process`` counts from 1 (one that cannot start exits with 127 at once)."""

    def process_output(self, process: int, stream: int, data: bytes) -> None:
        """Take what a process wrote next to its stdout (``stream`` 1) or stderr (2)."""

    def process_exited(self, process: int, status: int, end_ns: int) -> None:
        """Take the end of a process with its raw wait status (see ``waitpid(2)``)."""

    def capture(self, link: str, node: str, data: bytes) -> None:
        """Append pcapng bytes to the capture of the end of ``link`` at ``node``."""

    def capture_path(self, link: str, node: str) -> Path:
        """Give the file that :meth:`capture` appends to; it need not exist before the first bytes."""

    def drops(self, count: int) -> None:
        """Take the number of frames that the capture ring lost: such captures prove nothing."""

    def kernel_log(self, text: str, taint: int) -> None:
        """Take the guest kernel's warnings and worse (empty when there were none) and its taint flags."""


class Backend(Protocol):
    """A place where a topology is brought up."""

    name: str
    virtual_time: bool
    promises_identical_bits: bool

    def capabilities(self, options: BackendOptions | None = None) -> frozenset[str]:
        """Give what the kernel behind this backend can do (``netem``, ``mptcp``, ``sctp``, ...).

        Raises:
            CapabilityError: This backend cannot run on this machine; says why and what to do.
        """

    def own_release(self) -> str | None:
        """Give the release of the kernel that testbed has built for this backend, None where it runs on another one."""
        return None

    def up(
        self,
        topology: Topology,
        *,
        seed: int = 1,
        recorder: Recorder | None = None,
        options: BackendOptions | None = None,
    ) -> Network:
        """Bring a topology up in a fresh network, whose clock then stands at 0.

        Args:
            topology: What to bring up.
            seed: Seed of everything random in the network, 0 to 2**64 - 1.
            recorder: Who writes down what happens; None keeps nothing beyond the network's life.
            options: Limits and overrides; None is the defaults.

        Raises:
            CapabilityError: This machine or kernel cannot do it.
            GuestCrashed: The guest died on the way up.
            DeadlineError: The guest made no progress.
        """
