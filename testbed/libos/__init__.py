# SPDX-License-Identifier: MIT
"""The libos room; see doc/architecture.md."""
