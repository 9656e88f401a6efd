# SPDX-License-Identifier: MIT
"""TestSuite pipe-open: pipes of a LibOS between two processes of a node, opened and closed in all ways."""
