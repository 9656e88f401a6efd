# SPDX-License-Identifier: MIT
"""Where DPDK is missing, catnip says so, and nothing else breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.errors import CapabilityError
from testbed.libos.catnip import CATNIP, dpdk

if TYPE_CHECKING:
    from pathlib import Path

HINT = "apt install libdpdk-dev pkg-config"


def test_without_pkg_config_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CapabilityError, match="there is no pkg-config") as refused:
        dpdk()
    assert refused.value.hint == HINT


def test_without_dpdk_the_package_is_named_and_the_flavor_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pkg-config"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(CapabilityError, match="pkg-config knows no libdpdk") as refused:
        dpdk()
    assert refused.value.hint == HINT
    found = CATNIP.lacks()
    assert found is not None
    assert "DPDK" in str(found)


def test_its_version_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pkg-config"
    program.write_text("#!/bin/sh\necho 99.11.1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert dpdk() == {"dpdk": "99.11.1"}
