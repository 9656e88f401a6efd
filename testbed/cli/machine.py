# SPDX-License-Identifier: MIT
"""What this machine can and cannot: probes that change nothing, each with what to do about a miss."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import CapabilityError
from testbed.libos import cargo
from testbed.paths import cache_dir, package_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Numbers of protocols that Python 3.11 does not name: /usr/include/linux/in.h, linux/dccp.h, socket(2).
_IPPROTO_MPTCP = 262
_IPPROTO_SCTP = 132
_IPPROTO_DCCP = 33
_SOCK_DCCP = 6

_BUILD_SPACE_BYTES = 3 << 30  # an unpacked kernel tree, its objects and the artifact
_KERNEL_PURPOSE = ("the kernel", "quick rebuilds of the kernel", "unpacking the kernel", "the patch series")
_GUEST_MIB = 512  # a guest's memory is a file, sparse up to mem=

# Run in a network namespace of its own: which queue disciplines and filters the host's kernel has.
_TRAFFIC_CONTROL = """
ip link add t0 type veth peer name t1 && ip link set t0 up && ip link set t1 up || exit 1
tc qdisc add dev t0 root netem delay 1ms 2>/dev/null && echo netem
tc qdisc del dev t0 root 2>/dev/null
tc qdisc add dev t0 root tbf rate 1mbit burst 3000 limit 30000 2>/dev/null && echo tbf
tc qdisc add dev t0 clsact 2>/dev/null && echo clsact
tc filter add dev t0 ingress u32 match u32 0 0 action mirred egress redirect dev t1 2>/dev/null && echo mirred
true
"""


@dataclass(frozen=True)
class Check:
    """One fact about the machine.

    Args:
        name: What was looked at.
        status: ``ok``; ``limited`` (something optional is not there); ``missing`` (nothing runs without it).
        found: What was seen.
        remedy: What to do about it, a command where there is one; empty when ok.
        package: A Debian package that cures it.
    """

    name: str
    status: str
    found: str
    remedy: str = ""
    package: str | None = None


def examine() -> list[Check]:
    """Look at everything, cheap probes first; about 0.3 s."""
    probes: tuple[Callable[[], Iterator[Check]], ...] = (
        _architecture,
        _tracing,
        _namespaces,
        _protocols,
        _switches,
        _tools,
        _packages,
        _flavors,
        _kernel_source,
        _artifacts,
        _space,
        _memory,
    )
    return [check for probe in probes for check in probe()]


def closing(missing: Sequence[Check]) -> str:
    """Give the last line: ready, or the one command to type, or how much is to be cured by hand.

    Args:
        missing: The checks whose status is ``missing``.
    """
    if not missing:
        return "ready: testbed make test"
    packages = sorted({check.package for check in missing if check.package})
    if packages:
        sudo = "" if os.geteuid() == 0 else "sudo "
        return f"not ready; type: {sudo}apt-get install -y --no-install-recommends {' '.join(packages)}"
    return f"not ready; first: {missing[0].remedy}"


def _architecture() -> Iterator[Check]:
    """The guest is User-Mode Linux, which exists for x86; the emulated time stamp counter is x86-64's."""
    machine, system = platform.machine(), platform.system()
    good = machine == "x86_64" and system == "Linux"
    yield Check(
        "machine", "ok" if good else "missing", f"{system} {platform.release()} {machine}", "" if good else "use x86-64"
    )
    yield Check("user", "ok", "root" if os.geteuid() == 0 else f"ordinary user (uid {os.geteuid()})")


def _tracing() -> Iterator[Check]:
    """The guest's kernel runs user code by ptrace(2): Yama (kernel doc, LSM/Yama) or a container can forbid it."""
    from testbed.backends.host import addresses_lack, randomization_is_forced, tracing_lacks

    setting = Path("/proc/sys/kernel/yama/ptrace_scope")
    scope = int(setting.read_text()) if setting.exists() else 0
    lack = tracing_lacks()
    allowed = lack is None and (scope < 2 or (scope == 2 and os.geteuid() == 0))
    remedy = "" if allowed else lack.hint or "" if lack is not None else "sysctl -w kernel.yama.ptrace_scope=1"
    found = f"yama ptrace_scope {scope}" if lack is None else lack.message
    yield Check("ptrace", "ok" if allowed else "missing", found, remedy)
    lack = addresses_lack()
    found = "randomized; the agent settles a guest's" if randomization_is_forced() else "the same at each start"
    yield Check(
        "addresses",
        "ok" if lack is None else "missing",
        found if lack is None else lack.message,
        "" if lack is None else lack.hint or "",
    )


def _namespaces() -> Iterator[Check]:
    """Network and user namespaces, and inside them traffic control: what the backend ``netns`` needs, and no other."""
    enter = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    name = "network namespaces" if os.geteuid() == 0 else "user namespaces"
    probe = _output([*enter, "true"])
    if probe is None:
        remedy = "run as root" if os.geteuid() else "allow unshare(CLONE_NEWNET) here"
        yield Check(name, "limited", "not allowed: no backend netns", remedy)
        return
    yield Check(name, "ok", "allowed")
    words = (_output([*enter, "sh", "-c", _TRAFFIC_CONTROL]) or "").split()
    for kind, loss in (
        ("netem", "no delay, jitter or loss on links of netns"),
        ("tbf", "no rates on links of netns"),
        ("clsact", "no links in netns"),
        ("mirred", "no links in netns"),
    ):
        there = kind in words
        yield Check(
            f"host {kind}",
            "ok" if there else "limited",
            "there" if there else f"not there: {loss}",
            "" if there else "use the backend timetravel, which brings its own kernel",
        )


def _protocols() -> Iterator[Check]:
    """Transport protocols of the host's kernel; the guest's kernel brings its own."""
    for name, kind, protocol in (
        ("MPTCP", socket.SOCK_STREAM, _IPPROTO_MPTCP),
        ("SCTP", socket.SOCK_STREAM, _IPPROTO_SCTP),
        ("DCCP", _SOCK_DCCP, _IPPROTO_DCCP),
    ):
        try:
            socket.socket(socket.AF_INET, kind, protocol).close()
        except OSError as error:
            found = f"not there ({error.strerror}): cases that need it are skipped in netns"
            yield Check(f"host {name}", "limited", found, "use the backend timetravel")
        else:
            yield Check(f"host {name}", "ok", "there")


def _switches() -> Iterator[Check]:
    """Open vSwitch, which switches of the backend ``mininet`` may be, and the datapath that it would have."""
    from testbed.backends import openvswitch
    from testbed.backends.mininet import PATH

    try:
        datapath = openvswitch.datapath(PATH)
    except CapabilityError as error:
        yield Check("Open vSwitch", "limited", error.message, error.hint or "")
        return
    found = {"kernel": "the kernel's datapath", "user": "its own datapath, in user space: the kernel has none"}
    yield Check("Open vSwitch", "ok", found[datapath])


def _tools() -> Iterator[Check]:
    """The compilers, with their versions; a decoder of packets that is optional."""
    oldest = cargo.oldest(package_dir() / "agent")
    for program, word, stored in (("gcc", "the kernel", _kernel_is_there), ("cargo", "the agent", _agent_is_there)):
        package = "cargo-web" if program == "cargo" and _debian() == "12" else program
        text = _output([program, "--version"]) if shutil.which(program) else None
        version = re.search(r"(\d+)\.(\d+)[\d.]*", text or "")
        old = program == "cargo" and version is not None and (int(version[1]), int(version[2])) < oldest
        if text is not None and not old:
            yield Check(program, "ok", version[0] if version else text.splitlines()[0])
            continue
        found = "not installed" if text is None else f"{version[0] if version else text}, which is too old"
        remedy = f"apt-get install -y {package}"
        if old:
            remedy = f"a cargo of at least {oldest[0]}.{oldest[1]}: Debian 12's cargo-web, or rustup"
        if stored():
            yield Check(program, "limited", f"{found}: {word} of the store is used", remedy)
        else:
            yield Check(program, "missing", f"{found}: {word} cannot be built", remedy, None if old else package)
    if shutil.which("tshark") is None:
        yield Check("tshark", "limited", "not installed: packets are decoded by scapy", "apt-get install -y tshark")


@functools.cache
def _kernel_is_there() -> bool:
    """Say whether a kernel of the present sources is in the store: then nothing of what builds one is needed."""
    from testbed.libos.linux.builder import stored_linux

    return stored_linux(CapabilityError("asked by doctor")) is not None


@functools.cache
def _agent_is_there() -> bool:
    """Say whether an agent of the present sources is in the store."""
    from testbed.agent.build import stored_agent

    return stored_agent(CapabilityError("asked by doctor")) is not None


def _debian() -> str | None:
    """Give the version of Debian, or None elsewhere (os-release(5))."""
    try:
        words = dict(entry.split("=", 1) for entry in Path("/etc/os-release").read_text().splitlines() if "=" in entry)
    except OSError:
        return None
    return words.get("VERSION_ID", "").strip('"') if words.get("ID") == "debian" else None


def wanted_packages() -> list[tuple[tuple[str, ...], str, str]]:
    """Read the list that the launcher installs from: alternatives of a package, when it is needed, and what for."""
    lines = (package_dir() / "packages.txt").read_text(encoding="utf-8").splitlines()
    entries = [entry.split(maxsplit=2) for entry in lines if entry.strip() and not entry.startswith("#")]
    return [(tuple(spec.split("|")), when, purpose) for spec, when, purpose in entries]


def _packages() -> Iterator[Check]:
    """Debian packages, one line for all that is there and one for each that is not."""
    wanted = wanted_packages()
    names = [name for alternatives, _, _ in wanted for name in alternatives]
    text = _output(["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *names], any_status=True)
    if text is None:
        yield Check(
            "packages", "limited", "no dpkg-query: this is no Debian", "install the like of testbed/packages.txt"
        )
        return
    there = {entry.split()[0] for entry in text.splitlines() if entry.endswith(" installed")}
    missing = [(names[0], when, purpose) for names, when, purpose in wanted if there.isdisjoint(names)]
    yield Check("packages", "ok", f"{len(wanted) - len(missing)} of {len(wanted)} installed")
    for name, when, purpose in missing:
        status = "missing" if when in {"build", "run"} else "limited"
        by_command = f"; testbed.sh {when} does so, too" if when in {"check", "bench"} else ""
        remedy = f"apt-get install -y {name}{by_command}"
        found = f"not installed; for {purpose}"
        if status == "missing" and purpose.startswith(_KERNEL_PURPOSE) and _kernel_is_there():
            status, found = "limited", f"{found}; the kernel of the store is used"
        yield Check(f"package {name}", status, found, remedy, name)


def _flavors() -> Iterator[Check]:
    """The LibOSes that are built here; without what one needs, its cases are skipped."""
    from testbed.libos.flavor import flavors

    for flavor in flavors().values():
        if flavor.crate is None:
            continue
        lack = flavor.lacks()
        found = "can be built" if lack is None else f"cannot be built: {lack.message}"
        status, remedy = ("ok", "") if lack is None else ("limited", lack.hint or "")
        yield Check(f"LibOS {flavor.name}", status, found, remedy)


def _kernel_source() -> Iterator[Check]:
    """The distribution's source of the kernel (any other is given by ``build linux --source``)."""
    found = sorted(path.name for path in Path("/usr/src").glob("linux-source-*.tar.*"))
    if found:
        yield Check("kernel source", "ok", ", ".join(found))
    else:
        package = "linux-source-6.12"
        yield Check("kernel source", "missing", "none in /usr/src", f"apt-get install -y {package}", package)


def _artifacts() -> Iterator[Check]:
    """What is built already."""
    from testbed.cli.lists import artifacts

    built = artifacts()
    text = f"{len(built)} in {cache_dir()}" if built else f"none yet in {cache_dir()}; make test builds them"
    yield Check("artifacts", "ok", text)


def _space() -> Iterator[Check]:
    """Room for a build and for the memory of guests."""
    folder = cache_dir()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    enough = free >= _BUILD_SPACE_BYTES
    remedy = "" if enough else f"free {_gib(_BUILD_SPACE_BYTES)}, or set TESTBED_CACHE to a roomier folder"
    yield Check("disk", "ok" if enough else "limited", f"{_gib(free)} free for {folder}", remedy)


def _memory() -> Iterator[Check]:
    """Where guests have their memory: quickest in ``/dev/shm``, elsewhere where that is small or not executable."""
    from testbed.backends.memory import SHARED, lacks, memory_folder
    from testbed.paths import runtime_dir

    lack = lacks(SHARED, _GUEST_MIB)
    if lack is None:
        yield Check("guests' memory", "ok", f"{SHARED}, {_gib(shutil.disk_usage(SHARED).free)} free")
        return
    remedy = "mount -o remount,exec,size=2G /dev/shm (a container: --tmpfs /dev/shm:exec,size=2g)"
    try:
        chosen = memory_folder(runtime_dir(), _GUEST_MIB)
    except CapabilityError as error:
        yield Check("guests' memory", "missing", error.message, remedy)
    else:
        yield Check("guests' memory", "limited", f"{SHARED} {lack}; instead {chosen}, perhaps slower", remedy)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.1f} GiB"


def _output(argv: list[str], *, any_status: bool = False) -> str | None:
    """Give a program's stdout; None where it is absent, hangs or (unless any_status) fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if any_status or done.returncode == 0 else None
