# SPDX-License-Identifier: MIT
"""TestSuite mptcp: Multipath TCP (RFC 8684) between two hosts over two routers."""
