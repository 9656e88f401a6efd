# SPDX-License-Identifier: MIT
"""Fixtures of the reports' tests: those of the harness."""

from __future__ import annotations

from tests.harness.conftest import inner

__all__ = ["inner"]
