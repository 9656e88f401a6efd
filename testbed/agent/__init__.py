# SPDX-License-Identifier: MIT
"""The agent room; see doc/architecture.md."""
