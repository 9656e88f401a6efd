# SPDX-License-Identifier: MIT
"""TestSuite tcp-ping-pong: both sides of a TCP connection of a LibOS push and pop in turn."""
