# SPDX-License-Identifier: MIT
"""The backends room; see doc/architecture.md."""
