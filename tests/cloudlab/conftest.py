# SPDX-License-Identifier: MIT
"""Experiments on this machine for the tests of the backend cloudlab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.backends.cloudlab.backend import CloudlabBackend, Experiment
from testbed.backends.cloudlab.ssh import Access
from testbed.scenarios.registry import scenario
from tests.cloudlab.rig import Rig, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

collect_ignore = ["suite"]  # it needs an experiment: test_libos.py and the figures run it by the command line


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two nodes on one LAN; a test that breaks one mends it."""
    if (why := missing()) is not None:
        pytest.skip(why)
    with Rig(tmp_path_factory.mktemp("rig"), scenario("lan", n=2)) as rig:
        yield rig


@pytest.fixture
def make(rig: Rig) -> Callable[..., CloudlabBackend]:
    """Make a backend on the rig; keywords change what is told of the experiment."""

    def backend(
        *,
        known_hosts: Path | None = None,
        identity: Path | None = None,
        patience_s: float = 30.0,
        take_over: bool = False,
    ) -> CloudlabBackend:
        access = Access(
            known_hosts=known_hosts or rig.known_hosts, identities=(identity or rig.identity,), patience_s=patience_s
        )
        return CloudlabBackend(Experiment(manifest=rig.manifest, access=access, take_over=take_over))

    return backend
