# SPDX-License-Identifier: MIT
"""A scenario as it is typed in one word: ``lan``, ``lan:n=4``, ``pair:delay_ms=10,loss_ratio=0.1``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.cli.names import parameters
from testbed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.scenarios.topology import Topology


def topology_of(word: str, param: Sequence[str] = ()) -> Topology:
    """Make the topology of ``NAME`` or ``NAME:KEY=VALUE,...``.

    Args:
        word: The scenario.
        param: More ``KEY=VALUE`` words, as ``--param`` takes them.

    Raises:
        ConfigError: No such scenario or parameter, or a value that does not fit; near misses are named.
    """
    from testbed.scenarios.registry import scenario_from_text

    name, _, rest = word.partition(":")
    return scenario_from_text(name, parameters([*(rest.split(",") if rest else ()), *param]))


def chosen(word: str, param: Sequence[str], topo: str | None) -> Topology:
    """Make the topology of ``--topo`` where there is one, else that of a scenario.

    Raises:
        ConfigError: As :func:`topology_of`; or parameters are given beside ``--topo``, whose words follow its class.
    """
    if topo is None:
        return topology_of(word, param)
    if param:
        raise ConfigError("--param is for scenarios", hint="--topo FILE.py:CLASS,KEY=VALUE gives words to the class")
    from testbed.scenarios.given import given_topology

    return given_topology(topo)
