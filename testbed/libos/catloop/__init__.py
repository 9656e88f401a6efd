# SPDX-License-Identifier: MIT
"""The flavor ``catloop``: TCP sockets on loopback, carried by shared memory."""

from testbed.libos.pdpix import libos

CATLOOP = libos("catloop", "queue API over TCP sockets on loopback, in shared memory", "tcp", "loopback")
