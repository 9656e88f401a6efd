# SPDX-License-Identifier: MIT
"""The rings of these tests: pure ones; ``netns``, ``mininet`` (namespaces of the host); ``guest`` (our own kernel)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from testbed.backends.base import BackendOptions
from testbed.backends.registry import backend
from testbed.errors import CapabilityError
from testbed.scenarios.registry import scenario
from tests.rings import lacks

if TYPE_CHECKING:
    from testbed.backends.network import Network
    from testbed.scenarios.topology import Topology

Up = Callable[..., "Network"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "netns: needs namespaces of the host kernel")
    config.addinivalue_line("markers", "mininet: needs Mininet, and namespaces of the host kernel")
    config.addinivalue_line("markers", "needs(*names): what the kernel must be able to do")
    config.addinivalue_line("markers", "guest: needs a built guest kernel")


@pytest.fixture
def up(request: pytest.FixtureRequest) -> Iterator[Up]:
    """Give a function that brings a scenario (or a topology) up on the backend of the test's marker."""
    rings = {"guest": "timetravel", "mininet": "mininet", "netns": "netns"}
    marked = (name for ring, name in rings.items() if request.node.get_closest_marker(ring))
    found = backend(next(marked, "netns"))
    try:
        capabilities = found.capabilities()
    except CapabilityError as error:
        lacks(found.name, error)
    needs = request.node.get_closest_marker("needs")
    if needs is not None and not capabilities.issuperset(needs.args):
        pytest.skip(f"the kernel behind {found.name} lacks {', '.join(sorted({*needs.args} - capabilities))}")
    with ExitStack() as stack:

        def bring_up(what: str | Topology = "pair", *, seed: int = 1, **given: Any) -> Network:
            names = BackendOptions.__dataclass_fields__
            options = BackendOptions(**{key: value for key, value in given.items() if key in names})
            params = {key: value for key, value in given.items() if key not in names}
            topology = scenario(what, **params) if isinstance(what, str) else what
            return stack.enter_context(found.up(topology, seed=seed, options=options))

        yield bring_up


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked for no backend, but wants one, on all."""
    marked = {mark.name for mark in metafunc.definition.iter_markers()}
    if "up" in metafunc.fixturenames and not marked & {"guest", "mininet", "netns"}:
        every = [
            pytest.param("netns", marks=pytest.mark.netns),
            pytest.param("mininet", marks=pytest.mark.mininet),
            pytest.param("timetravel", marks=pytest.mark.guest),
        ]
        metafunc.parametrize("up", every, indirect=True)
