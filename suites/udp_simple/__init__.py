# SPDX-License-Identifier: MIT
"""Example udp-simple: one datagram a second, each at its exact time on the wire."""

SUITE_KIND = "Example"
