# SPDX-License-Identifier: MIT
"""The hooks that testbed's pytest plugin adds: for a ``conftest.py`` or another plugin to implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from testbed.backends.base import Backend


@pytest.hookspec(firstresult=True)
def pytest_testbed_backend(config: pytest.Config, name: str) -> Backend | None:
    """Give the backend of this name, or None where it is not yours.

    Args:
        config: pytest's.
        name: What ``--backend`` says.
    """
