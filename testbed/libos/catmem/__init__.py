# SPDX-License-Identifier: MIT
"""The flavor ``catmem``: pipes in shared memory between the processes of a node."""

from testbed.libos.pdpix import libos

CATMEM = libos("catmem", "queue API over pipes in shared memory", "pipe", "threads")
