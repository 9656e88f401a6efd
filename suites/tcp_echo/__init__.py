# SPDX-License-Identifier: MIT
"""TestSuite tcp-echo: requests of one or many TCP clients on a LibOS come back, and how long each took."""
