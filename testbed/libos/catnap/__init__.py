# SPDX-License-Identifier: MIT
"""The flavor ``catnap``: PDPIX over the sockets of the node's own kernel."""

from testbed.libos.pdpix import libos

CATNAP = libos("catnap", "queue API over Linux sockets, woken by epoll", "tcp", "udp", "threads")
