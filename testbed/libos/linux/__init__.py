# SPDX-License-Identifier: MIT
"""The libos/linux room; see doc/architecture.md."""
