# SPDX-License-Identifier: MIT
"""TestSuite pipe-push-pop: one process pushes into a pipe of a LibOS, another one pops."""
