# SPDX-License-Identifier: MIT
"""What the tests of this suite share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.process_manager.behave import Behave

if TYPE_CHECKING:
    from pathlib import Path

    from suites.process_manager.behave import Install
    from testbed.backends.network import Network


@pytest.fixture
def behave(network: Network, program: Install) -> Behave:
    """Give a function that runs a program of this suite and compares what it prints."""
    return Behave(network, program)


@pytest.fixture
def record_folder(network: Network) -> Path:
    """Give the folder of the record of this execution, which is written as the case runs (doc/records.md)."""
    console = network.session.recorder.console_path
    assert console is not None
    return console.parent
