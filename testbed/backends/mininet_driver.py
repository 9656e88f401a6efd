# SPDX-License-Identifier: MIT
"""Builds a network by Mininet's own API; runs under the Python that has Mininet, inside the agent's namespaces.

It imports nothing of ours: its text is handed to that Python, which reads one line of JSON from descriptor 3 (made by
``mininet_plan.py``) and answers with one: ``{"first": index, "pids": {node: pid}}``. It lives on, with Mininet's shells
below it, until the agent's namespaces end.

Mininet's classes stay as they are but for what their parents cannot do here:

- a node's shell gets its network namespace from us and not from ``mnexec -n``, which would also mount a writable
  sysfs: nothing that runs here may have one (doc/internals.md, section 5);
- a link is two veth pairs that meet in Mininet's root namespace, so that captures and impairments lie between the
  nodes and a node's own interfaces carry no qdisc of ours (section 2).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from mininet.link import Link
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import Node, OVSSwitch
from mininet.nodelib import LinuxBridge
from mininet.topo import Topo

CHANNEL_FD = 3
CLONE_NEWNS = 0x0002_0000  # <linux/sched.h>
CLONE_NEWNET = 0x4000_0000
FABRIC_OFFSET = 1000  # of the agent's fabric, from the first free index (testbed/agent/src/bringup.rs)
PORTS_PER_LINE = 200  # a terminal takes 4,096 bytes per line (termios(3), MAX_CANON)
OVS_FOLDER = Path("/run/openvswitch")  # of the agent: empty at first, and seen by no node
OVS_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
OVSDB_PORT = 6640  # where ovs-vsctl in a switch's node finds its database (IANA: ovsdb)
OFP_PORT = 6653  # and ovs-ofctl the switch (IANA: openflow)
OVS_LIMIT_S = 30

_libc = ctypes.CDLL(None, use_errno=True)
_first = max(index for index, _ in socket.if_nameindex()) + 1


_HOMES = {
    os.open(f"/proc/self/ns/{name}", os.O_RDONLY): kind for name, kind in (("net", CLONE_NEWNET), ("mnt", CLONE_NEWNS))
}


def _call(name: str, *words: int) -> None:
    """Call one of ``unshare(2)`` and ``setns(2)``, which Python has from 3.12 on only."""
    if getattr(_libc, name)(*words):
        raise OSError(ctypes.get_errno(), name)


class Isolated:
    """Gives a node's shell namespaces of its own, and in them what its interfaces will inherit."""

    name: str
    params: dict[str, Any]

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[bytes]:
        if cmd[:2] != ["mnexec", "-cdn"]:
            return self._start(cmd, **params)
        try:
            self._isolate()
            return self._start(["mnexec", "-cd", *cmd[2:]], **params)
        finally:
            for home, kind in _HOMES.items():
                _call("setns", home, kind)

    def _start(self, cmd: list[str], **params: Any) -> subprocess.Popen[bytes]:
        popen: subprocess.Popen[bytes] = super()._popen(cmd, **params)  # type: ignore[misc]  # Mininet's Node has it
        return popen

    def _isolate(self) -> None:
        """Go into new namespaces, for the shell to be born in: cheaper than in a fork of this process."""
        _call("unshare", CLONE_NEWNET | CLONE_NEWNS)
        for path, value in self.params["inherited"].items():
            with contextlib.suppress(OSError):  # the agent writes them all again, and says what is refused
                Path(path).write_text(value)


class Host(Isolated, Node):  # type: ignore[misc]  # Mininet has no types
    """A host or router."""

    def config(self, *, ip: str | None = None, **_: object) -> dict[str, str]:
        """Set the address as Mininet does, and fail where Mininet would go on; the agent brings ``lo`` up."""
        done: dict[str, str] = {}
        self.setParam(done, "setIP", ip=ip)
        _no_words(self.name, str(ip), done.get("ip"))
        return done


class Bridge(Isolated, LinuxBridge):  # type: ignore[misc]  # Mininet has no types
    """A switch in a namespace of its own, that takes all its ports, and takes them at once."""

    def start(self, _controllers: object) -> None:
        """Start the bridge."""
        ports = [port.name for port in self.intfList() if port.name != "lo"]
        lines = [" ".join(ports[begin : begin + PORTS_PER_LINE]) for begin in range(0, len(ports), PORTS_PER_LINE)]
        for step in (
            f"brctl addbr {self.name}",
            *(f"brctl addif {self.name} {line}" for line in lines),
            f"ip link set {self.name} up type bridge mcast_snooping 0",
        ):
            _no_words(self.name, step, self.cmd(step))


class OpenVSwitch(Isolated, OVSSwitch):  # type: ignore[misc]  # Mininet has no types
    """An Open vSwitch with a database and a daemon of its own, which learns addresses by itself.

    A daemon opens ports of its own network namespace only, so there is one per switch; nothing of the machine's is
    asked. Files and sockets are in the agent's /run and end with it, as do the daemons, which are below its PID 1.
    """

    @classmethod
    def setup(cls) -> None:
        """Take the version; Mininet would ask the machine's own database, too."""
        words = subprocess.run(["ovs-vsctl", "--version"], capture_output=True, text=True, check=True).stdout
        cls.OVSVersion = re.findall(r"\d+\.\d+", words)[0]

    def start(self, _controllers: object) -> None:
        """Begin to start the switch: all of them start at the same time, and :meth:`batchStartup` waits."""
        folder = OVS_FOLDER / self.name
        folder.mkdir(parents=True)
        quiet = "--no-chdir --detach -vconsole:off -vsyslog:off -vfile:warn"
        database, flags = f"unix:{folder}/db.sock", "" if self.datapath == "kernel" else " --disable-system"
        ports = [port for port in self.intfList() if port.name != "lo"]
        add = "".join(f" -- add-port {self.name} {port.name}{self.intfOpts(port)}" for port in ports)
        script = f"""
ip link set lo up
ovsdb-tool create {folder}/conf.db {OVS_SCHEMA}
ovsdb-server {folder}/conf.db --remote=p{database} --remote=ptcp:{OVSDB_PORT}:127.0.0.1 {quiet} \
    --log-file={folder}/db.log --pidfile={folder}/db.pid --unixctl={folder}/db.ctl
ovs-vswitchd {database} {quiet}{flags} --log-file={folder}/switch.log --pidfile={folder}/switch.pid \
    --unixctl={folder}/switch.ctl
ovs-vsctl --timeout={OVS_LIMIT_S} --db={database} -- --id=@c create Controller 'target="ptcp:{OFP_PORT}:127.0.0.1"' \
    -- add-br {self.name} -- set bridge {self.name} controller=@c {self.bridgeOpts()}{add} >{folder}/controller
"""
        env = {**os.environ, "OVS_RUNDIR": str(folder), "OVS_LOGDIR": str(folder), "OVS_DBDIR": str(folder)}
        self.starting = self.popen(["sh", "-ec", script], env=env, stdout=subprocess.DEVNULL, text=True)

    @classmethod
    def batchStartup(cls, switches: Any, **_: object) -> Any:  # noqa: N802  # Mininet's name
        """Wait until all switches have started."""
        for switch in switches:
            _, words = switch.starting.communicate()
            if switch.starting.returncode or words.strip():
                logs = [path.read_text() for path in sorted((OVS_FOLDER / switch.name).glob("*.log"))]
                raise RuntimeError(f"{switch.name}: Open vSwitch did not start: {words.strip()}\n{''.join(logs)}")
        return switches


class Wire(Link):  # type: ignore[misc]  # Mininet has no types
    """A link through Mininet's root namespace: two veth pairs, made by one call of ip(8)."""

    def __init__(self, node1: Any, node2: Any, *, wire: dict[str, Any], **params: Any) -> None:
        self._wire = wire
        super().__init__(node1, node2, **params)

    def makeIntfPair(self, *words: Any, **_: object) -> None:  # noqa: N802  # Mininet's name
        """Make the pairs of both ends: ``lN.0`` and ``lN.1`` here, their peers in the nodes."""
        name1, name2, addr1, addr2, node1, node2 = words
        number, queues = self._wire["number"], f"mtu {self._wire['mtu']} numtxqueues 1 numrxqueues 1"
        lines = []
        for end, (node, name, mac) in enumerate(((node1, name1, addr1), (node2, name2, addr2))):
            here, index = f"l{number}.{end}", _first + FABRIC_OFFSET + 2 * number + end
            peer = f"name {name} index {_first + self._wire['places'][end]} address {mac} {queues} netns {node.pid}"
            lines += [f"link add name {here} index {index} {queues} type veth peer {peer}"]
            lines += [f"link set dev {here} up arp off"]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


def _no_words(node: str, step: str, words: str | None) -> None:
    """Take what a command of Mininet's said as its error: those that do well say nothing."""
    if words and words.strip():
        raise RuntimeError(f"{node}: {step}: {words.strip()}")


def build(plan: dict[str, Any]) -> Any:
    """Build the network of a plan; gives the live ``Mininet``."""
    topo = Topo()
    for number, node in enumerate(plan["nodes"], start=1):
        name, inherited = node["name"], node["inherited"]
        if node["switch"]:
            more = {"cls": Bridge} if node["switch"] == "bridge" else {"cls": OpenVSwitch, "failMode": "standalone"}
            more |= {} if node["switch"] == "bridge" else {"datapath": node["switch"]}
            topo.addSwitch(name, inNamespace=True, dpid=f"{number:x}", inherited=inherited, **more)
        else:
            topo.addHost(name, cls=Host, ip=node["ip"], inherited=inherited)
    for link in plan["links"]:
        topo.addLink(*link.pop("nodes"), cls=Wire, **link)
    net = Mininet(topo=topo, controller=None, build=False)
    net.build()
    for node, interface, address in plan["addresses"]:
        _no_words(node, address, net[node].intf(interface).setIP(address))
    net.start()
    return net


def main() -> None:
    """Answer one plan, then keep the network until it is killed."""
    os.set_inheritable(CHANNEL_FD, False)  # noqa: FBT003  # os's own
    channel = socket.socket(fileno=CHANNEL_FD)
    plan = json.loads(channel.makefile("rb").readline())
    setLogLevel("warning")
    net = build(plan)
    answer = {"first": _first, "pids": {node.name: node.pid for node in net.hosts + net.switches}}
    channel.sendall(json.dumps(answer).encode() + b"\n")
    while True:  # no stop(), which takes as long as the start: the namespaces end, with all that is in them
        signal.pause()


if __name__ == "__main__":
    main()
