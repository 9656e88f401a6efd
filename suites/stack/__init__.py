# SPDX-License-Identifier: MIT
"""TestSuite stack: the TCP/IP of a LibOS, packet by packet at exact times; Linux, below catnap, says what is right."""
