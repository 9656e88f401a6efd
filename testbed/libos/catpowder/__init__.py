# SPDX-License-Identifier: MIT
"""The flavor ``catpowder``: PDPIX over raw sockets and a TCP/IP stack of its own."""

from testbed.libos.pdpix import libos

CATPOWDER = libos(
    "catpowder", "queue API over raw sockets (AF_PACKET) and a user-level TCP/IP stack", "tcp", "udp", "user-stack"
)
