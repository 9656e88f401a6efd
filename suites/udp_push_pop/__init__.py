# SPDX-License-Identifier: MIT
"""TestSuite udp-push-pop: datagrams of a LibOS go one way; what is lost is counted."""
