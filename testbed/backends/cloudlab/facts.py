# SPDX-License-Identifier: MIT
"""What a node is and has: asked before a run, and judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from testbed.backends.cloudlab import store
from testbed.backends.cloudlab.nodetypes import DPDK_DRIVERS
from testbed.backends.cloudlab.problems import NodeError

if TYPE_CHECKING:
    from testbed.backends.cloudlab.manifest import Machine
    from testbed.backends.cloudlab.ssh import Connection

Level = Literal["ok", "note", "bad"]
_OLDEST = (5, 12)  # mount_setattr(2): the agent makes what nodes see of the machine read-only


@dataclass(frozen=True, kw_only=True)
class Nic:
    """A NIC as the node's kernel sees it."""

    name: str
    driver: str
    pci_id: str
    mtu: int
    state: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a node answered.

    Args:
        machine: The node.
        release: Its kernel's.
        architecture: Such as ``x86_64``.
        uid: Of the script: 0 where sudo works.
        huge_pages, huge_free, huge_kib: Huge pages of the default size, all and free, and their size in KiB.
        dpdk: Version of libdpdk, or None.
        iommu: Whether devices have IOMMU groups, which vfio-pci needs.
        lacks: Tools that the run needs and that are missing.
        free_bytes: Of the store's file system.
        nics: Experiment NICs by MAC address.
        has: Names and sizes in bytes of what is whole in the store: its bytes are those that its name says.
        broken: Names of what is not.
        live: Networks that run there now, and whose they are.
    """

    machine: Machine
    release: str
    architecture: str
    uid: int
    huge_pages: int
    huge_free: int
    huge_kib: int
    dpdk: str | None
    iommu: bool
    lacks: tuple[str, ...]
    free_bytes: int
    nics: dict[str, Nic] = field(default_factory=dict)
    has: dict[str, int] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    live: dict[str, str] = field(default_factory=dict)

    def findings(self) -> list[tuple[Level, str, str]]:
        """Judge them: level, what it is about, and a line for people."""
        found: list[tuple[Level, str, str]] = []
        version = tuple(int(part) for part in self.release.split("-")[0].split(".")[:2] if part.isdecimal())
        oldest = ".".join(map(str, _OLDEST))
        kernel = f"{self.release} {self.architecture}"
        found.append(("ok" if version >= _OLDEST else "bad", "kernel", f"{kernel} (wanted {oldest} or later)"))
        if self.architecture != "x86_64":
            found.append(("bad", "machine", f"{self.architecture}; the agent is built for x86_64"))
        if self.uid:
            found.append(("bad", "root", "sudo does not work without a password"))
        if self.lacks:
            found.append(
                ("bad", "tools", f"lacks {', '.join(self.lacks)}: apt install iproute2 ethtool util-linux procps")
            )
        found.extend(self._port_findings())
        huge = f"{self.huge_free} of {self.huge_pages} huge pages of {self.huge_kib} KiB free"
        found.append(("ok" if self.huge_free else "note", "huge pages", huge))
        found.append(("ok" if self.dpdk else "note", "DPDK", self.dpdk or "no libdpdk (catnip brings its own)"))
        found.append(("ok" if self.free_bytes > store.SPARE_BYTES else "bad", "free space", _gib(self.free_bytes)))
        if self.broken:
            found.append(("note", "store", f"{len(self.broken)} damaged files there; a run sends what it needs again"))
        found.extend(("note", "in use", f"network {name} of {owner}") for name, owner in self.live.items())
        return found

    def _port_findings(self) -> list[tuple[Level, str, str]]:
        found: list[tuple[Level, str, str]] = []
        for port in self.machine.ports:
            nic = self.nics.get(port.mac)
            if nic is None:
                found.append(("bad", "NIC", f"{port.client_id}: no interface has the address {port.mac}"))
                continue
            how = DPDK_DRIVERS.get(nic.driver)
            text = f"{port.client_id}: {nic.name}, {nic.driver} {nic.pci_id}, mtu {nic.mtu}, {nic.state}"
            if how is not None and "vfio-pci" in how and not self.iommu:
                found.append(("note", "NIC", f"{text}; DPDK: {how}, which needs an IOMMU, and the node shows none"))
                continue
            found.append(("ok" if how else "note", "NIC", f"{text}; DPDK: {how or 'only by AF_PACKET'}"))
        return found

    def demand(self, *, space: bool) -> None:
        """Make sure that a run can begin.

        Args:
            space: Whether anything will be sent, so that room for it is needed.

        Raises:
            NodeError: Something that every run needs is missing.
        """
        bad = [(what, text) for level, what, text in self.findings() if level == "bad"]
        bad = [(what, text) for what, text in bad if space or what != "free space"]
        if bad:
            what, _ = bad[0]
            verdict = "no space" if what == "free space" else f"unfit ({what})"
            raise NodeError(self.machine.name, verdict, "; ".join(text for _, text in bad))


def ask(connection: Connection, *, make: bool = False) -> Facts:
    """Ask a node.

    Args:
        connection: To it.
        make: Make the store's folder there, too; else nothing is changed.

    Raises:
        NodeError: It does not answer, or not with facts.
    """
    machine = connection.machine
    path = store.store_path(machine.user)
    macs = [port.mac for port in machine.ports]
    words = ["sh", "-s", "--", "facts", path, machine.user, "make" if make else "look", *macs]
    done = connection.run(words, stdin=store.script().read_bytes())
    if done.status or "end facts" not in done.stdout:
        words = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise NodeError(
            machine.name,
            "no space" if "No space" in words[0] else "unfit (root)",
            f"the first command as root ended with {done.status}: {words[0]}",
        )
    return parse(machine, done.stdout)


def parse(machine: Machine, text: str) -> Facts:
    """Read the answer of ``node.sh facts``."""
    lines = [line.split() for line in text.splitlines()]
    one = {words[0]: words[1] for words in lines if len(words) == 2}
    nics = {
        words[1]: Nic(
            name=words[2], driver=words[3], pci_id=f"{words[4]}:{words[5]}", mtu=int(words[6]), state=words[7]
        )
        for words in lines
        if words[:1] == ["nic"] and len(words) == 8
    }
    return Facts(
        machine=machine,
        release=one.get("release", "unknown"),
        architecture=one.get("machine", "unknown"),
        uid=int(one.get("uid", "-1")),
        huge_pages=int(one.get("huge_total", "0")),
        huge_free=int(one.get("huge_free", "0")),
        huge_kib=int(one.get("huge_kib", "0")),
        dpdk=one.get("dpdk"),
        iommu=one.get("iommu_groups", "0") != "0",
        lacks=tuple(words[1] for words in lines if words[:1] == ["lacks"]),
        free_bytes=int(one.get("free_bytes", "0")),
        nics=nics,
        has={words[1]: int(words[2]) for words in lines if words[:1] == ["has"] and len(words) == 3},
        broken=tuple(words[1] for words in lines if words[:1] == ["broken"]),
        live={words[1]: " ".join(words[2:]) for words in lines if words[:1] == ["live"]},
    )


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"
