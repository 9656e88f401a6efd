# SPDX-License-Identifier: MIT
"""``testbed make defconfig`` and ``make menuconfig``."""


def defconfig() -> None:
    """Print."""


def menuconfig() -> None:
    """Edit."""
