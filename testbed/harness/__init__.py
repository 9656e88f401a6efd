# SPDX-License-Identifier: MIT
"""The harness room; see doc/architecture.md."""
