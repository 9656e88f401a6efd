# SPDX-License-Identifier: MIT
"""Resolve what a user typed into a known name, or say what would have been valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import ConfigError, near_misses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# Suites of the old system were called dce-NAME where they ran under the simulator; both spellings are good.
_ALIAS_PREFIX = "dce-"


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


def suite(found: str, valid: Collection[str]) -> str:
    """Give the suite's own name for a name or its old alias (``dce-mptcp`` is ``mptcp``).

    Raises:
        ConfigError: There is no such suite.
    """
    plain = found.removeprefix(_ALIAS_PREFIX)
    return plain if plain in valid else known("suite", found, valid)


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
