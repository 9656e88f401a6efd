# SPDX-License-Identifier: MIT
"""The source checkout that this package is installed from: checks, suites and benchmarks lie beside the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import CapabilityError
from testbed.paths import package_dir

if TYPE_CHECKING:
    from pathlib import Path


def checkout() -> Path:
    """Give the root of the source checkout.

    Raises:
        CapabilityError: The package is installed without its checkout.
    """
    root = package_dir().parent
    if not (root / "pyproject.toml").is_file():
        raise CapabilityError(
            f"this needs testbed's source checkout, and {root} is none",
            hint="clone the repository and use its ./testbed.sh",
        )
    return root
