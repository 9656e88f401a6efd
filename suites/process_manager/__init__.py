# SPDX-License-Identifier: MIT
"""TestSuite process-manager: what processes in nodes may expect of the system below them."""
