# SPDX-License-Identifier: MIT
"""What becomes of a test whose backend cannot run here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from testbed.errors import CapabilityError


def lacks(backend: str, error: CapabilityError) -> NoReturn:
    """Skip the test; but fail it in a CI where guests cannot boot: it would pass on nothing."""
    if backend == "timetravel" and os.environ.get("CI"):
        pytest.fail(f"a CI has to boot guests: {error}")
    pytest.skip(str(error))
