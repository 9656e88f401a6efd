# SPDX-License-Identifier: MIT
"""Drawings of topologies: ``svg(topology)`` for pages and files, ``text(topology, width)`` for terminals."""

from testbed.reports.topology_svg import svg
from testbed.reports.topology_text import text

__all__ = ["svg", "text"]
