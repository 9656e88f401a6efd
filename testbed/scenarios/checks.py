# SPDX-License-Identifier: MIT
"""Checks of single values of a topology; each raises a ConfigError that says what was found and what is valid."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from testbed.errors import ConfigError, near_misses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NODE_NAME_LIMIT = 15  # as IFNAMSIZ - 1, so that a node's name can name an interface too
LINK_NAME_LIMIT = 40
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SYSCTL = re.compile(r"[a-z][A-Za-z0-9_.@/-]*\.[A-Za-z0-9_.@/-]+")


def node_name(name: object) -> str:
    """Check the name of a node."""
    return _checked_name("node", name, NODE_NAME_LIMIT)


def link_name(name: object) -> str:
    """Check the name of a link; it becomes part of a file name."""
    return _checked_name("link", name, LINK_NAME_LIMIT)


def _checked_name(what: str, name: object, limit: int) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"a {what} cannot have the name {name!r}", hint="use letters, digits, '_', '-' and '.'")
    if len(name) > limit:
        raise ConfigError(f"the name {name!r} of a {what} has {len(name)} characters; at most {limit} are possible")
    return name


def choice(what: str, value: object, valid: Iterable[str]) -> None:
    """Check that a value is one of a few words."""
    words = list(valid)
    if value not in words:
        raise ConfigError(f"{what} {value!r} does not exist; {near_misses(str(value), words)}")


def whole(what: str, value: object, *, least: int, most: int) -> None:
    """Check that a value is a whole number in a range."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{what} must be a whole number from {least} to {most}, not {value!r}")


def sysctl(key: str) -> str:
    """Check the name of a sysctl (``net.ipv4.tcp_ecn``)."""
    if not _SYSCTL.fullmatch(key) or ".." in key:
        raise ConfigError(f"{key!r} is no name of a sysctl", hint="such as 'net.ipv4.tcp_ecn'")
    return key


def interface_address(text: str) -> str:
    """Check an address with its prefix length, and give it in its canonical form."""
    try:
        found = ipaddress.ip_interface(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no address of an interface: {error}", hint="such as '10.0.1.1/24'") from error
    if "/" not in str(text):
        raise ConfigError(f"the address {text!r} needs a prefix length", hint=f"such as '{text}/24'")
    return str(found)


def address(text: str, *, version: int) -> str:
    """Check an address of one IP version, and give it in its canonical form."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no IP address: {error}") from error
    if found.version != version:
        raise ConfigError(f"{text!r} is an IPv{found.version} address where IPv{version} is needed")
    return str(found)


def prefix(text: str) -> str:
    """Check a prefix, and give it in its canonical form."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ConfigError(f"{text!r} is no prefix: {error}", hint="such as '10.0.2.0/24'") from error


def destination(text: str) -> str:
    """Check where a route leads to: a prefix, ``default`` or ``default6``."""
    return text if text in ("default", "default6") else prefix(text)


def no_switch_loop(switches: Iterable[str], links: Sequence[tuple[str | None, tuple[str, str]]]) -> None:
    """Check that no links form a loop of switches, in which frames would circle for ever."""
    group = {name: name for name in switches}

    def find(name: str) -> str:
        while group[name] != name:
            group[name] = group[group[name]]
            name = group[name]
        return name

    for link, (a, b) in links:
        if a in group and b in group:
            if find(a) == find(b):
                raise ConfigError(
                    f"link {link!r} closes a loop of switches, in which frames would circle for ever",
                    hint="make one of the switches a router, or leave the link out",
                )
            group[find(a)] = find(b)
