# SPDX-License-Identifier: MIT
"""What all tests of testbed share."""

from __future__ import annotations

pytest_plugins = ["pytester"]
