# SPDX-License-Identifier: MIT
"""Faults and bad input, end to end: the real command and real guests, in a folder with a runtime folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.backends import openvswitch
from testbed.backends.mininet import PATH
from testbed.backends.registry import backend
from testbed.errors import CapabilityError
from tests.faults.workshop import Workshop
from tests.rings import lacks

if TYPE_CHECKING:
    from pathlib import Path


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "guest: needs a built guest kernel")
    config.addinivalue_line("markers", "mininet: needs Mininet, and namespaces of the host kernel")
    config.addinivalue_line("markers", "netns: needs namespaces of the host kernel")


def make_workshop(folder: Path) -> Workshop:
    """Make a user's folder; its runtime folder has a name that no other process's environment holds."""
    runtime = folder / "runtime"
    runtime.mkdir()
    temporary = folder / "temporary"
    temporary.mkdir()
    return Workshop(folder, {"XDG_RUNTIME_DIR": str(runtime), "TMPDIR": str(temporary)})


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return make_workshop(tmp_path)


def need(name: str) -> None:
    """Skip where a backend cannot run on this machine."""
    try:
        backend(name).capabilities()
    except CapabilityError as error:
        lacks(name, error)


def need_ovs() -> None:
    """Skip where there is no Open vSwitch."""
    try:
        openvswitch.datapath(PATH)
    except CapabilityError as error:
        pytest.skip(str(error))
