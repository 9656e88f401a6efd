# SPDX-License-Identifier: MIT
"""The cli room; see doc/architecture.md."""
