# SPDX-License-Identifier: MIT
"""The reports room; see doc/architecture.md."""
