# SPDX-License-Identifier: MIT
"""What a node is and has: asked before a run, and judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from testbed.backends.cloudlab import store
from testbed.backends.cloudlab.problems import NodeError

if TYPE_CHECKING:
    from testbed.backends.cloudlab.manifest import Machine
    from testbed.backends.cloudlab.ssh import Connection

Level = Literal["ok", "note", "bad"]
_OLDEST = (5, 12)  # mount_setattr(2): the agent makes what nodes see of the machine read-only
DPDK_DRIVERS = {
    "mlx5_core": "ConnectX-4 and later: driver mlx5, beside the kernel's",
    "mlx4_core": "ConnectX-3: driver mlx4, beside the kernel's",
    "ixgbe": "Intel 82599 and X520: driver ixgbe, with vfio-pci",
    "i40e": "Intel X710 and XL710: driver i40e, with vfio-pci",
    "ice": "Intel E810: driver ice, with vfio-pci",
    "bnxt_en": "Broadcom NetXtreme-E: driver bnxt, with vfio-pci",
}
"""Kernel drivers whose NICs DPDK drives, too, and how."""
NODE_TYPES = {
    "c6525-25g": "2 x ConnectX-5 25 Gbit/s, AMD 7302P (Utah)",
    "c6525-100g": "ConnectX-5 Ex 100 Gbit/s and ConnectX-5 25 Gbit/s, AMD 7402P (Utah)",
    "xl170": "2 x ConnectX-4 Lx 25 Gbit/s, Intel E5-2640v4 (Utah)",
    "d6515": "2 x ConnectX-5 100 Gbit/s, AMD 7452 (Utah)",
    "r7525": "ConnectX-5 25 Gbit/s and BlueField-2 100 Gbit/s, 2 x AMD 7542 (Clemson)",
}
"""Node types of CloudLab whose experiment NICs DPDK drives."""


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
        has: Names and sizes in bytes of what is in the store.
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


def ask(connection: Connection) -> Facts:
    """Ask a node; also makes the store's folder there.

    Raises:
        NodeError: It does not answer, or not with facts.
    """
    machine = connection.machine
    path = store.store_path(machine.user)
    macs = [port.mac for port in machine.ports]
    done = connection.run(["sh", "-s", "--", "facts", path, machine.user, *macs], stdin=store.script().read_bytes())
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
        live={words[1]: " ".join(words[2:]) for words in lines if words[:1] == ["live"]},
    )


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"
