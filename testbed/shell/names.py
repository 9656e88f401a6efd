# SPDX-License-Identifier: MIT
"""Names of nodes in the words of a command: each stands for an address, as in Mininet's shell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.backends.network import Network, Node
    from testbed.shell.line import Line

_SIX = frozenset({"-6", "ping6", "traceroute6", "tracepath6"})
# A node's name as a whole word, as the host of a URL or of user@host, or before a port or a path of scp(1).
_SHAPES = re.compile(r"^(?P<before>(?:[\w+.-]+://)?(?:[\w.-]+@)?)(?P<name>[\w.-]+)(?P<after>(?:[:/].*)?)$")


def resolved(network: Network, node: Node, line: Line, first: int) -> list[str]:
    """Give the words of a command with the names of nodes replaced by addresses.

    A word that is quoted, the program's own name, and names of nodes without an address stay as they are.

    Args:
        network: Whose nodes they are.
        node: Where the command runs: an address that it shares a subnet with is taken before others.
        line: The line.
        first: Index of the word that names the program.
    """
    version = _version(line, first)
    texts = [word.text for word in line.words[first:]]
    for index, word in enumerate(line.words[first + 1 :], start=1):
        if word.bare:
            texts[index] = _replaced(network, node, word.text, version)
    return texts


def resolved_text(network: Network, node: Node, line: Line, first: int) -> str:
    """Give a command as it was typed, for ``sh``, with the names of nodes replaced by addresses."""
    version = _version(line, first)
    text, at = "", line.words[first].start
    for word in line.words[first + 1 :]:
        if word.bare:
            text += line.text[at : word.start] + _replaced(network, node, word.text, version)
            at = word.end
    return "\n".join([text + line.text[at:], *([line.body] if line.body else [])])


def address_of(network: Network, node: Node, name: str, version: int) -> str | None:
    """Give the address of a node as another one would reach it: on a shared subnet, else its first."""
    own = {interface.segment for interface in node.interfaces}
    interfaces = sorted(network.nodes[name].interfaces, key=lambda interface: interface.segment not in own)
    return next((found for found in (interface.address(version) for interface in interfaces) if found), None)


def _version(line: Line, first: int) -> int:
    return 6 if _SIX & {word.text for word in line.words[first:]} else 4


def _replaced(network: Network, node: Node, word: str, version: int) -> str:
    found = _SHAPES.match(word)
    if found is None or found["name"] not in network.nodes:
        return word
    if found["after"].startswith("/") and "://" not in found["before"] and not found["after"][1:].isdecimal():
        return word  # a path
    address = address_of(network, node, found["name"], version)
    if address is None:
        return word
    bracketed = f"[{address}]" if version == 6 and (found["before"] or found["after"].startswith(":")) else address
    return f"{found['before']}{bracketed}{found['after']}"
