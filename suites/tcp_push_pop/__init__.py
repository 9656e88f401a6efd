# SPDX-License-Identifier: MIT
"""TestSuite tcp-push-pop: one side of a TCP connection of a LibOS pushes, the other pops."""
