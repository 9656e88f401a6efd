# SPDX-License-Identifier: MIT
"""Kernels that behave otherwise: a case that only newer ones can pass is skipped on older ones, with the reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from testbed.backends.network import Network


def since(network: Network, version: tuple[int, int], behaviour: str) -> None:
    """Skip the case where the kernel under test is older than a version that was seen to behave so.

    Args:
        network: The case's.
        version: Major and minor number of the oldest kernel that passes.
        behaviour: What an older one does instead, for the report.
    """
    found = re.match(r"(\d+)\.(\d+)", network.release)
    assert found, network.release
    if (int(found[1]), int(found[2])) < version:
        pytest.skip(f"Linux {network.release}, older than {version[0]}.{version[1]}: {behaviour}")
