# SPDX-License-Identifier: MIT
"""TestSuite pipe-ping-pong: two processes push and pop in turn, over pipes of a LibOS."""
