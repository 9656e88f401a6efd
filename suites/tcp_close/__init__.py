# SPDX-License-Identifier: MIT
"""TestSuite tcp-close: 32 TCP connections of a LibOS, closed by the client or by the server."""
