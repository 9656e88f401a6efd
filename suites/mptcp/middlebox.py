# SPDX-License-Identifier: MIT
"""Routers that meddle with TCP options, as some of the Internet's do (RFC 6824, section 6): nftables in the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.backends.node import Node


def meddle(router: Node, *rules: str) -> None:
    """Let a router apply nftables rules to all that it forwards, both IP versions (nft(8)).

    Args:
        router: The node.
        rules: Rules of a chain at the forward hook, such as ``reset tcp option mptcp``.
    """
    body = "\n".join(rules)
    ruleset = f"table inet middlebox {{ chain forward {{ type filter hook forward priority 0;\n{body}\n}}\n}}\n"
    router.run(["nft", "-f", "-"], input=ruleset.encode())


def strip(router: Node, match: str = "") -> None:
    """Replace every MPTCP option of the segments that match with no-operations.

    Args:
        router: The node.
        match: An nftables expression; empty is every TCP segment.
    """
    meddle(router, f"{match or 'meta l4proto tcp'} reset tcp option mptcp")


def drop(router: Node, match: str, *, at_most: int | None = None) -> None:
    """Drop the segments that match.

    Args:
        router: The node.
        match: An nftables expression.
        at_most: How many, then the rest pass; None is all.
    """
    limit = "" if at_most is None else f" limit rate 1/day burst {at_most} packets"
    meddle(router, f"{match}{limit} drop")
