# SPDX-License-Identifier: MIT
"""TestSuite udp-ping-pong: datagrams of a LibOS go there and come back, in turn; what is lost is sent again."""
