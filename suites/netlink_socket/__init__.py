# SPDX-License-Identifier: MIT
"""TestSuite netlink-socket: rtnetlink, generic netlink and sock_diag on the middle node of three in a row."""
