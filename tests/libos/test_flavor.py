# SPDX-License-Identifier: MIT
"""The registry of flavors."""

from __future__ import annotations

import pytest

from testbed.errors import ConfigError
from testbed.libos.flavor import LINUX, flavor, flavors


def test_linux_is_registered() -> None:
    assert flavor("linux") is LINUX
    assert flavors()["linux"].capabilities >= {"virtual-time", "identical-bits"}


def test_unknown_flavor_names_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"^unknown flavor 'linus'\nhint: did you mean 'linux'\?$"):
        flavor("linus")
