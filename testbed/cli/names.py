# SPDX-License-Identifier: MIT
"""Resolve what a user typed into a known name, or say what would have been valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import ConfigError, near_misses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def known(kind: str, found: str, valid: Collection[str]) -> str:
    """Give the name itself when it is valid.

    Args:
        kind: What the name names, for the message: ``"scenario"``.
        found: What the user typed.
        valid: All names that exist.

    Raises:
        ConfigError: There is none of that name; the message has the near misses.
    """
    if found in valid:
        return found
    hint = near_misses(found, valid) or f"there is no {kind} at all"
    raise ConfigError(f"unknown {kind} {found!r}", hint=hint)


def parameters(words: Iterable[str]) -> dict[str, str]:
    """Read ``key=value`` words; what a value means is for whoever knows the key.

    Raises:
        ConfigError: A word has no ``=`` or no key.
    """
    result = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key.isidentifier():
            raise ConfigError(f"a parameter is written key=value, found {word!r}", hint="--param delay_ms=10")
        result[key] = value
    return result
