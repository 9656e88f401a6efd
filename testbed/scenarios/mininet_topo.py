# SPDX-License-Identifier: MIT
"""A user's Mininet ``Topo`` class as a scenario: ``mytopo.py:MyTopo``, with words for its constructor."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from testbed.errors import ConfigError, near_misses
from testbed.scenarios import tclink
from testbed.scenarios.mininet_python import mininet_python
from testbed.scenarios.topology import Kind, Link, Node, Route, Switch, Topology

_READER = Path(__file__).with_name("mininet_reader.py")
_LIMIT_S = 60
_HINT = "FILE.py:CLASS, or FILE.py:CLASS,3,n=2 with words for the class"
_VIA = re.compile(r"\bvia\s+(\S+)")
_INTERFACE = re.compile(r"\bdev\s+\S*eth(\d+)")
_NO_NODES = {  # classes of Mininet's whose nodes would not do here what they do there
    "NAT": "no packet leaves the network here",
    "Controller": "there are no controllers here",
    "UserSwitch": "it does nothing without a controller, and there is none here",
    "IVSSwitch": "it does nothing without a controller, and there is none here",
}


def mininet_topo(spec: str) -> Topology:
    """Make the topology of a ``Topo`` class; no Mininet is started.

    Args:
        spec: ``FILE``, ``FILE:NAME`` or ``FILE:NAME,WORD,KEY=VALUE``: NAME is a class, or a key of the file's
            ``topos``; it may be left out where there is only one. The words go to it, numbers as numbers, as
            ``mn --topo NAME,WORD,KEY=VALUE`` does.

    Raises:
        ConfigError: No such file or name, it is no ``Topo``, its own code fails, or it asks for what cannot be.
        CapabilityError: Mininet, whose class it is, is not installed.
    """
    file, _, rest = spec.partition(":")
    path = Path(file).expanduser().absolute()
    if not path.is_file():
        near = near_misses(path.name, [entry.name for entry in path.parent.glob("*.py")])
        more = f"; {near}" if near.startswith("did") else ""  # others there are not all topologies
        raise ConfigError(f"no file {file!r} with a Mininet topology{more}", hint=_HINT)
    return _made(spec, str(path), path.stat().st_mtime_ns, rest)


@functools.lru_cache(maxsize=16)
def _made(spec: str, path: str, mtime_ns: int, rest: str) -> Topology:  # noqa: ARG001  # part of the key
    return topology_of(spec, _read(spec, path, rest))


def _read(spec: str, path: str, rest: str) -> dict[str, Any]:
    """Have Mininet's Python read the class."""
    name, *words = rest.split(",")
    positional = [_value(word) for word in words if "=" not in word]
    named = {key: _value(value) for key, found, value in (word.partition("=") for word in words) if found}
    command = [str(mininet_python()), str(_READER), path, name, json.dumps([positional, named])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{spec}: the file was not read within {_LIMIT_S} s", hint="it starts something?") from error
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise ConfigError(f"{spec}: the file cannot be read: {last}") from error
    if "error" in answer:
        raise _refusal(spec, path, name, answer)
    return answer


def _refusal(spec: str, path: str, name: str, answer: dict[str, Any]) -> ConfigError:
    """Say what is wrong with the user's file."""
    text, valid = answer["text"], answer["valid"]
    match answer["error"]:
        case "file":
            return ConfigError(f"{path} cannot be executed: {text}", hint="Mininet's Python reads it; other modules?")
        case "build":
            return ConfigError(f"{spec}: the class failed: {text}")
        case "kind":
            near = near_misses(name, valid)
            return ConfigError(
                f"{spec}: {name!r} is no Topo, its type is {text}" + (f"; {near}" if near else ""), hint=_HINT
            )
        case _ if not valid:
            return ConfigError(f"{path} has no Topo class and no 'topos'", hint=_HINT)
        case _ if not name:
            return ConfigError(f"{path} has {len(valid)} topologies; which one? {', '.join(sorted(valid))}", hint=_HINT)
        case _:
            return ConfigError(f"{path} has no Topo {name!r}; {near_misses(name, valid)}", hint=_HINT)


def topology_of(spec: str, data: dict[str, Any]) -> Topology:
    """Turn what the reader gave into a topology.

    Where no address is given, all are derived, as in every scenario. Where one is (``ip``, or a gateway in
    ``defaultRoute``), the nodes without get Mininet's own (``10.0.0.1/8``, ...), and there is no IPv6.

    Raises:
        ConfigError: Something does not fit together.
    """
    nodes = {node["name"]: Node(node["name"], _kind(node), switch=_switch(spec, node)) for node in data["nodes"]}
    own = _own_addresses(data)
    routes = [route for node in data["nodes"] for route in _default_route(node)]
    seen: set[str] = set()
    links = []
    for link in data["links"]:
        ends, opts = link["ends"], link["opts"]
        shape, back = tclink.shapes(f"{spec}: link {'-'.join(ends)}", opts)
        given: list[tuple[str, ...] | None] = []
        for number, name in enumerate(ends, start=1):
            if own is None or nodes[name].kind == "switch":
                given.append(None)
            else:
                address = (opts.get(f"params{number}") or {}).get("ip") or (own[name] if name not in seen else None)
                given.append((_prefixed(address),) if address else ())
            seen.add(name)
        a, b = given
        other = back if back != shape else None
        links.append(Link(ends[0], ends[1], shape, other, addresses_a=a, addresses_b=b))
    return Topology(tuple(nodes.values()), tuple(links), tuple(routes))


def _kind(node: dict[str, Any]) -> Kind:
    if node["switch"]:
        return "switch"
    return "router" if node["router"] else "host"


def _switch(spec: str, node: dict[str, Any]) -> Switch | None:
    """Give what a switch is by its ``cls``; None where Mininet's default is meant.

    Raises:
        ConfigError: Its class wants what is not there: a controller, or the host's network.
    """
    classes, opts = node["classes"], node["opts"]
    for name, reason in _NO_NODES.items():
        if name in classes:
            hint = "cls=OVSSwitch or cls=LinuxBridge" if node["switch"] else "leave it out"
            raise ConfigError(f"{spec}: {node['name']!r}: cls={classes[0]} cannot be had: {reason}", hint=hint)
    if not node["switch"]:
        return None
    asked = {name: opts[name] for name in ("controller", "controllers") if opts.get(name)}
    asked |= {"failMode": opts["failMode"]} if opts.get("failMode", "standalone") != "standalone" else {}
    for name, value in asked.items():
        raise ConfigError(
            f"{spec}: switch {node['name']!r}: {name}={value!r} wants a controller, and there is none here",
            hint="leave it out, or failMode='standalone': the switch learns addresses by itself",
        )
    if "OVSSwitch" in classes or (not classes and not {"datapath", "failMode"}.isdisjoint(opts)):
        return "ovs-user" if opts.get("datapath") == "user" else "ovs"
    return "bridge" if "LinuxBridge" in classes else None


def _own_addresses(data: dict[str, Any]) -> dict[str, str | None] | None:
    """Give each host the address of its first interface, as Mininet would; None where the user gives none at all."""
    hosts = sorted((node for node in data["nodes"] if not node["switch"]), key=lambda node: _natural(node["name"]))
    of_links = (link["opts"].get(f"params{end}") or {} for link in data["links"] for end in (1, 2))
    asked = any(node["opts"].get("ip") or _VIA.search(str(node["opts"].get("defaultRoute"))) for node in hosts)
    if not asked and not any(params.get("ip") for params in of_links):
        return None
    base = ipaddress.IPv4Address("10.0.0.0")  # mininet.net.Mininet, ipBase
    return {node["name"]: node["opts"].get("ip", f"{base + n}/8") for n, node in enumerate(hosts, start=1)}


def _prefixed(address: str) -> str:
    """Give an address its prefix length; Mininet's default is 8 (``mininet.node.Node.setIP``)."""
    return address if "/" in address else f"{address}/8"


def _default_route(node: dict[str, Any]) -> list[Route]:
    """Give the default route of a node: ``via ADDRESS``, ``dev h1-eth0``, or both."""
    text = str(node["opts"].get("defaultRoute") or "")
    via, interface = _VIA.search(text), _INTERFACE.search(text)
    if not via and not interface:
        if text:
            raise ConfigError(
                f"{node['name']!r}: defaultRoute={text!r} cannot be read", hint="'via 10.0.0.1' or 'dev h1-eth0'"
            )
        return []
    return [
        Route(
            node=node["name"],
            dst="default",
            via=via[1] if via else None,
            iface=f"eth{interface[1]}" if interface else None,
        )
    ]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort as Mininet does: numbers in names as numbers (``mininet.util.natural``)."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _value(word: str) -> object:
    """Read a word for the constructor as Mininet does: a number where it is one (``mininet.util.makeNumeric``)."""
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(word)
    return {"True": True, "False": False, "None": None}.get(word, word)
