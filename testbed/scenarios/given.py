# SPDX-License-Identifier: MIT
"""A network that the user gives as a file: a class of Mininet's (``mytopo.py:MyTopo``) or a topology as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import ConfigError
from testbed.scenarios.mininet_topo import mininet_topo
from testbed.scenarios.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Iterable


def given_topology(spec: str) -> Topology:
    """Make the topology of a file.

    Args:
        spec: As :func:`~testbed.scenarios.mininet_topo.mininet_topo`; or a JSON file with what
            :meth:`Topology.to_dict` gives: the ``topology.json`` of a record, or ``testbed show SCENARIO --json``.

    Raises:
        ConfigError: There is no such file, or it makes no topology.
        CapabilityError: Mininet, whose class it is, is not installed.
    """
    if not spec.endswith(".json"):
        return mininet_topo(spec)
    try:
        data = json.loads(Path(spec).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the topology {spec!r}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{spec!r} is no topology but a {type(data).__name__}", hint="testbed show SCENARIO --json")
    return Topology.from_dict(data)


def absolute(spec: str) -> str:
    """Give the same with the file's absolute path, for processes that work in other folders."""
    file, colon, rest = spec.partition(":")
    return f"{Path(file).expanduser().absolute()}{colon}{rest}"


def lacking(topology: Topology, wanted: Iterable[str]) -> list[str]:
    """List the nodes of ``wanted`` that a topology does not have."""
    names = {node.name for node in topology.nodes}
    return [name for name in wanted if name not in names]
