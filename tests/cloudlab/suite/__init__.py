# SPDX-License-Identifier: MIT
"""A small suite for four nodes on one LAN: what the tests and figures of the backend cloudlab run."""
