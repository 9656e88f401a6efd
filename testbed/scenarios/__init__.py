# SPDX-License-Identifier: MIT
"""The scenarios room; see doc/architecture.md."""
