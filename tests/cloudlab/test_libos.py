# SPDX-License-Identifier: MIT
"""LibOSes on the nodes of an experiment: the command line of the issue, on four nodes of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.errors import CapabilityError
from testbed.libos.library import find_library
from testbed.scenarios.registry import scenario
from tests.cloudlab.rig import Rig, missing
from tests.cloudlab.test_command import end, start, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Four nodes on one LAN."""
    if (why := missing()) is not None:
        pytest.skip(why)
    with Rig(tmp_path_factory.mktemp("four"), scenario("lan", n=4)) as rig:
        yield rig


@pytest.mark.parametrize("libos", ["catnap", "catpowder", "catnip"])
def test_a_libos_carries_messages_between_nodes(four: Rig, tmp_path: Path, libos: str) -> None:
    try:
        library = find_library(libos)
    except CapabilityError as error:
        pytest.skip(str(error))
    run = tmp_path / "run"
    words = end(start(four, "run", "--libos", libos, "tests/cloudlab/suite/test_libos.py", "--run-dir", str(run)), 0)
    assert "1 passed" in words
    assert verdicts(run) == {f"test_libos.test_messages_come_back_whole-{libos}": "passed"}
    for name in ("h1", "h2"):  # it came from the stores of the nodes that ran it
        assert library.artifact[1] in four.boxes[name].enter("ls", "/var/tmp/testbed-root")
