# SPDX-License-Identifier: MIT
"""What a run was asked for: the options of the pytest plugin, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.backends.base import BackendOptions
from testbed.harness.identity import DEFAULT_SEED

if TYPE_CHECKING:
    import pytest

    from testbed.backends.base import Backend
    from testbed.libos.foreign_flavor import Wrapper

DEFAULT_REPEAT = 2
DEFAULT_STALL_S = 30.0
DEFAULT_WALL_LIMIT_S = 900.0
DEFAULT_REAL_TIME_S = 60.0
DEFAULT_LIBOS = "linux"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of a run.

    Args:
        seed: Seed of the run; each case derives its own.
        repeat: Executions of each case; None = 2 where the backend promises identical bits, else 1.
        backend: Name of the backend.
        libos: Name of the flavor under test, or the folder of an artifact.
        keep: Keep the records of all executions, not only the first of a case that passed.
        stall_s: Wall time without progress after which a guest is given up, s.
        wall_limit_s: Wall time that a network may live, s; None is no limit.
        real_time_limit_s: The longest case that a backend in real time runs, s.
        require: Capabilities whose lack is an error and not a skip.
        capture: Whether link ends are captured.
        spin_ms: Host CPU time after which a task without system calls lets others run, ms; 0 is never.
        topo: File with the network of all cases, in place of their own; None leaves them theirs.
        switch: What all switches are, where the backend has a choice; None leaves it to them.
    """

    seed: int
    repeat: int | None
    backend: str
    libos: str
    keep: bool
    stall_s: float
    wall_limit_s: float | None
    real_time_limit_s: float
    require: tuple[str, ...]
    capture: bool
    spin_ms: int
    topo: str | None = None
    switch: str | None = None

    def repeats(self, backend: Backend) -> int:
        """Give the number of executions of each case."""
        if self.repeat is not None:
            return self.repeat
        return DEFAULT_REPEAT if backend.promises_identical_bits else 1

    def options(self, memory_mib: int | None) -> BackendOptions:
        """Give what a backend is told; ``memory_mib`` None is its default."""
        from testbed.backends.registry import switch_kind  # noqa: PLC0415 (backends take a while to import)

        defaults = BackendOptions()
        return BackendOptions(
            capture=self.capture,
            stall_s=self.stall_s,
            wall_limit_s=self.wall_limit_s,
            memory_mib=defaults.memory_mib if memory_mib is None else memory_mib,
            spin_ms=self.spin_ms,
            kernel=_kernel(self.libos),
            wrapper=_wrapper(self.libos),
            switch=switch_kind(self.switch, self.backend),
        )

    def rerun_options(self) -> list[str]:
        """Give the rarer options that decide what a case does, as words: for the line that executes it again."""
        words = [] if self.topo is None else ["--topo", self.topo]
        words += [] if self.switch is None else ["--switch", self.switch]
        words += [] if self.capture else ["--no-captures"]
        return words + (["--spin-ms", str(self.spin_ms)] if self.spin_ms else [])

    def requires(self, reason: str) -> str | None:
        """Give the required capability that a skip's reason is about, or None."""
        words = set(re.findall(r"[a-z0-9_-]+", reason.lower()))
        return next((name for name in self.require if name.lower() in words), None)


def _kernel(libos: str) -> Path | None:
    """Give the kernel that a flavor is, or the artifact that was named; None is the default one."""
    if libos == DEFAULT_LIBOS:
        return None
    from testbed.libos.flavor import flavor, is_artifact  # noqa: PLC0415 (not every pytest session needs it)
    from testbed.libos.foreign_flavor import kernel  # noqa: PLC0415

    if is_artifact(libos):
        return Path(libos)
    declared = flavor(libos).foreign
    return kernel(declared) if declared is not None and declared.abi == "kernel" else None


def _wrapper(libos: str) -> Wrapper | None:
    """Give the command around POSIX programs that a flavor is, if it is one."""
    if libos == DEFAULT_LIBOS:
        return None
    from testbed.libos.flavor import flavor, is_artifact  # noqa: PLC0415 (not every pytest session needs it)
    from testbed.libos.foreign_flavor import wrapper  # noqa: PLC0415

    if is_artifact(libos):
        return None
    declared = flavor(libos).foreign
    return wrapper(declared) if declared is not None and declared.abi == "preload" else None


def add_options(parser: pytest.Parser) -> None:
    """Declare the options of the plugin."""
    group = parser.getgroup("testbed", "networks in virtual time")
    group.addoption("--seed", type=_seed, default=DEFAULT_SEED, metavar="S", help="seed of the run (default: 1)")
    group.addoption(
        "--repeat", type=_positive, metavar="N", help="executions of each case (default: 2 in virtual time, else 1)"
    )
    group.addoption(
        "--backend", default="timetravel", metavar="NAME", help="where networks are brought up (default: timetravel)"
    )
    group.addoption(
        "--libos", default=DEFAULT_LIBOS, metavar="NAME", help="flavor under test, or the folder of an artifact"
    )
    group.addoption("--keep", action="store_true", help="keep the records of all executions of cases that passed")
    group.addoption(
        "--run-dir", type=Path, metavar="DIR", help="folder of the run, new or empty (default: below testbed-runs)"
    )
    group.addoption(
        "--stall",
        type=float,
        default=DEFAULT_STALL_S,
        metavar="S",
        help="wall seconds without progress after which a guest is ended",
    )
    group.addoption(
        "--wall-limit",
        type=float,
        default=DEFAULT_WALL_LIMIT_S,
        metavar="S",
        help="wall seconds that one network may live (default: 900; a fork bomb makes progress, too)",
    )
    group.addoption(
        "--real-time-limit",
        type=float,
        default=DEFAULT_REAL_TIME_S,
        metavar="S",
        help="longest case that a backend in real time runs (default: 60)",
    )
    group.addoption(
        "--require",
        action="append",
        default=[],
        metavar="CAP[,CAP]",
        help="a case skipped for lack of this capability is an error",
    )
    group.addoption(
        "--spin-ms",
        type=_positive,
        default=0,
        metavar="N",
        help="a program that makes no system call for N to 2 N ms of the host's CPU lets others, and time, go on; "
        "depends on the host's speed, so bits may differ (default: never)",
    )
    group.addoption(
        "--topo",
        metavar="FILE:CLASS",
        help="network of all cases in place of their own: a Topo class of Mininet's, or a topology.json",
    )
    group.addoption(
        "--switch", metavar="KIND", help="what switches are on the backend mininet: bridge, ovs or ovs-user"
    )
    group.addoption("--no-captures", action="store_true", help="capture no frames")
    group.addoption("--no-report", action="store_true", help="write no report.html at the end of the run")
    group.addoption(
        "--testbed-terminal", action="store_true", help="show suites and progress instead of pytest's own lines"
    )


def settings_of(config: pytest.Config) -> Settings:
    """Read the options of a run; a worker of xdist has those of its controller."""
    get = config.getoption
    return Settings(
        seed=get("--seed"),
        repeat=get("--repeat"),
        backend=get("--backend"),
        libos=get("--libos"),
        keep=get("--keep"),
        stall_s=get("--stall"),
        wall_limit_s=get("--wall-limit"),
        real_time_limit_s=get("--real-time-limit"),
        require=tuple(name for text in get("--require") for name in text.split(",") if name),
        capture=not get("--no-captures"),
        spin_ms=get("--spin-ms"),
        topo=get("--topo"),
        switch=get("--switch"),
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"wanted at least 1, found {number}")
    return number


def _seed(text: str) -> int:
    number = int(text, 0)
    if not 0 <= number < 1 << 64:
        raise ValueError(f"wanted 0 to 2**64 - 1, found {number}")
    return number
