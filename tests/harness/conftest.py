# SPDX-License-Identifier: MIT
"""Fixtures of the harness's tests."""

from __future__ import annotations

import pytest

from tests.harness.inner import Inner


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    monkeypatch.setenv("TESTBED_CACHE", str(pytester.path / "cache"))
    monkeypatch.delenv("TESTBED_RUNS", raising=False)
    return Inner(pytester)
