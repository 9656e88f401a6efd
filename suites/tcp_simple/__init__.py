# SPDX-License-Identifier: MIT
"""Example tcp-simple: 27.8 hours of a real kernel's time, in seconds."""

SUITE_KIND = "Example"
