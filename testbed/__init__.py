# SPDX-License-Identifier: MIT
"""A testbed and continuous-integration harness for network code and library operating systems."""

__version__ = "0.1.0"
