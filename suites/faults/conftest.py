# SPDX-License-Identifier: MIT
"""The engines of the suite: two, or two that are connected."""

from suites.common.fixtures import engines, stream

__all__ = ["engines", "stream"]
