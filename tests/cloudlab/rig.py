# SPDX-License-Identifier: MIT
"""An experiment on this machine: each node a network namespace with a real sshd, with LANs and a management network.

Everything that is made is ended or removed by its own record: processes by pid, interfaces with the namespaces that
hold them, the one interface in our own namespace by its name.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from testbed.backends.cloudlab.rspec import RSPEC, request

if TYPE_CHECKING:
    from testbed.scenarios.topology import Topology

SSHD = "/usr/sbin/sshd"
_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # whatever happens to us
_NETS = 213  # 10.213.0.0/16 and those behind it: one for each rig of a session
_NUMBERS = itertools.count()
_CONFIG = """\
Port 22
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {keys}
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
LogLevel VERBOSE
"""


USER = "ada"
# What a node has of its ordinary user: an account with a shell, a home and keys of its own; sudo without a password.
_ACCOUNT = f"""\
mount -t tmpfs -o mode=755 tmpfs /mnt
install -d -o 4711 -g 4711 /mnt/{USER}
install -m 644 "$1/authorized_keys" /mnt/authorized_keys
cat /etc/passwd - >/mnt/passwd <<END
{USER}:*:4711:4711::/mnt/{USER}:/bin/sh
END
echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/mnt/sudoers
chmod 440 /mnt/sudoers
mount --bind /mnt/passwd /etc/passwd
mount --bind /mnt/sudoers /etc/sudoers
"""


def missing(*more: str) -> str | None:
    """Say what this machine lacks for a rig, or None."""
    for program in (SSHD, "ssh-keygen", "ip", "unshare", "nsenter", *more):
        if shutil.which(program) is None:
            return f"no {program}"
    return None if os.geteuid() == 0 else "namespaces with an sshd in them need root"


def sh(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@dataclass
class Box:
    """One node: a namespace, and the sshd in it."""

    name: str
    folder: Path
    address: str
    holder: subprocess.Popen[bytes]
    sshd: subprocess.Popen[bytes] | None = None
    macs: dict[str, str] = field(default_factory=dict)

    def enter(self, *words: str) -> str:
        """Run a command in the node, past its sshd."""
        return sh("nsenter", "-t", str(self.holder.pid), "-n", "-m", *words)

    def start_sshd(self) -> None:
        """Start the node's sshd, as the first process of a PID namespace: with it all that it started ends."""
        words = [*_WITH_US, "nsenter", "-t", str(self.holder.pid), "-n", "-m"]
        words += ["unshare", "-p", "-f", "--mount-proc", "--kill-child"]
        with (self.folder / "sshd.log").open("ab") as log:
            self.sshd = subprocess.Popen([*words, SSHD, "-D", "-e", "-f", str(self.folder / "config")], stderr=log)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                socket.create_connection((self.address, 22), timeout=1).close()
            except OSError:
                assert self.sshd.poll() is None, (self.folder / "sshd.log").read_text()
            else:
                return
        raise AssertionError(f"no sshd at {self.address}")

    def power_off(self) -> None:
        """End the sshd and all that it has started, at once."""
        if self.sshd is not None:
            self.sshd.kill()
            self.sshd.wait()
            self.sshd = None

    def new_host_key(self) -> None:
        """Give the node another key, as a fresh installation would."""
        for path in self.folder.glob("host_key*"):
            path.unlink()
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "host_key"))


class Rig:
    """An experiment for a topology, up.

    Args:
        folder: For keys, configurations and the manifest.
        topology: What the experiment is to carry.
        disk_mib: Size of each node's ``/var/tmp``.
        user: Who logs in: root, or ``USER``, as on CloudLab.
    """

    def __init__(self, folder: Path, topology: Topology, *, disk_mib: int = 192, user: str = "root") -> None:
        self.user = user
        self.folder = folder
        self.boxes: dict[str, Box] = {}
        self.links: dict[str, str] = {}
        number = next(_NUMBERS)  # a rig of the whole session may stand beside that of a module
        self._us = f"tbrig{os.getpid()}.{number}"
        self._net = f"10.{_NETS + number}.{os.getpid() % 250}"
        self._lab: subprocess.Popen[bytes] | None = None
        self._disk_mib = disk_mib
        self.identity = folder / "identity"
        self.known_hosts = folder / "known_hosts"
        self.manifest = folder / "manifest.xml"
        self._request = ET.fromstring(request(topology))

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _build(self) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.identity))
        self._lab = _holder(None)
        lab = str(self._lab.pid)
        sh("ip", "link", "add", self._us, "type", "veth", "peer", "name", "us", "netns", lab)
        sh("ip", "address", "add", f"{self._net}.254/24", "dev", self._us)
        sh("ip", "link", "set", self._us, "up")
        self._in_lab("ip", "link", "add", "mgmt", "type", "bridge")
        self._in_lab("ip", "link", "set", "mgmt", "up")
        self._in_lab("ip", "link", "set", "us", "master", "mgmt", "up")
        links = {
            end.get("client_id"): link.get("client_id")
            for link in self._request.iter(f"{{{RSPEC}}}link")
            for end in link.iter(f"{{{RSPEC}}}interface_ref")
        }
        for number, link in enumerate(dict.fromkeys(links.values())):
            self._in_lab("ip", "link", "add", f"lan{number}", "type", "bridge", "mcast_snooping", "0")
            self._in_lab("ip", "link", "set", f"lan{number}", "up")
            self.links[str(link)] = f"lan{number}"
        for number, node in enumerate(self._request.iter(f"{{{RSPEC}}}node"), start=1):
            self._box(number, node, links)
        known = [f"{box.address} {(box.folder / 'host_key.pub').read_text()}" for box in self.boxes.values()]
        self.known_hosts.write_text("".join(known))
        self._request.set("type", "manifest")
        self.manifest.write_text(ET.tostring(self._request, encoding="unicode"))

    def _box(self, number: int, node: ET.Element, links: dict[str | None, str | None]) -> None:
        name = str(node.get("client_id"))
        folder = self.folder / name
        folder.mkdir()
        address = f"{self._net}.{number}"
        box = self.boxes[name] = Box(name, folder, address, _holder(self._disk_mib))
        box.new_host_key()
        shutil.copy(f"{self.identity}.pub", folder / "authorized_keys")
        keys = folder / "authorized_keys"
        if self.user != "root":
            keys = Path("/mnt/authorized_keys")
            box.enter("sh", "-euc", _ACCOUNT, "sh", str(folder))
        (folder / "config").write_text(_CONFIG.format(address=address, folder=folder, keys=keys))
        self._cable(box, "mgmt0", f"m{number}", "mgmt")
        box.enter("ip", "link", "set", "lo", "up")
        box.enter("ip", "address", "add", f"{address}/24", "dev", "mgmt0")
        services = node.find(f"{{{RSPEC}}}services")
        assert services is not None
        login = {"authentication": "ssh-keys", "hostname": address, "port": "22", "username": self.user}
        ET.SubElement(services, f"{{{RSPEC}}}login", login)
        for count, end in enumerate(node.iter(f"{{{RSPEC}}}interface")):
            nic = f"exp{count}"
            self._cable(box, nic, f"n{number}.{count}", self.links[str(links[end.get("client_id")])])
            ip = end.find(f"{{{RSPEC}}}ip")
            if ip is not None:
                box.enter("ip", "address", "add", f"{ip.get('address')}/24", "dev", nic)
            mac = box.enter("cat", f"/sys/class/net/{nic}/address").strip()
            box.macs[nic] = mac
            end.set("mac_address", mac.replace(":", ""))  # as CloudLab writes it
        box.start_sshd()

    def _cable(self, box: Box, nic: str, port: str, bridge: str) -> None:
        assert self._lab is not None
        sh(
            "ip",
            "link",
            "add",
            nic,
            "netns",
            str(box.holder.pid),
            "type",
            "veth",
            "peer",
            port,
            "netns",
            str(self._lab.pid),
        )
        box.enter("ip", "link", "set", nic, "up")
        self._in_lab("ip", "link", "set", port, "master", bridge, "up")

    def _in_lab(self, *words: str) -> str:
        assert self._lab is not None
        return sh("nsenter", "-t", str(self._lab.pid), "-n", *words)

    def cut(self, name: str, *, joined: bool = False) -> None:
        """Take a node off the management network, or put it back."""
        number = list(self.boxes).index(name) + 1
        self._in_lab("ip", "link", "set", f"m{number}", "up" if joined else "down")

    def environment(self) -> dict[str, str]:
        """Give the variables that tell the backend of the experiment."""
        return {
            "TESTBED_MANIFEST": str(self.manifest),
            "TESTBED_KNOWN_HOSTS": str(self.known_hosts),
            "TESTBED_IDENTITY": str(self.identity),
        }

    def close(self) -> None:
        """End and remove all of it."""
        for box in self.boxes.values():
            box.power_off()
            _end(box.holder)
        if self._lab is not None:
            _end(self._lab)
        subprocess.run(["ip", "link", "del", self._us], capture_output=True, check=False)  # gone with its peer, mostly


def _holder(disk_mib: int | None) -> subprocess.Popen[bytes]:
    """Start a process that holds a namespace; it has said so when we come back."""
    mounts = (
        "mount -t sysfs sysfs /sys && for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done"
    )
    if disk_mib is not None:
        mounts += f" && mount -t tmpfs -o size={disk_mib}m tmpfs /var/tmp"
    words = [
        *_WITH_US,
        "unshare",
        "-n",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        f"{mounts} && echo ready && exec sleep infinity",
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
