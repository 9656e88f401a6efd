# SPDX-License-Identifier: MIT
"""TestSuite transport: TCP, SCTP, DCCP, UDP and UDP-Lite over clean and bad links, by hash, by packet and by time."""
