# SPDX-License-Identifier: MIT
"""TestSuite ip6-tunnels: IPv6, and what is carried in it, between two hosts over a router."""
