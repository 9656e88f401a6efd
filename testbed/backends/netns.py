# SPDX-License-Identifier: MIT
"""The backend on the host's own kernel: namespaces, in real time, for root and for users who may make them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from testbed.backends import namespaces
from testbed.backends.artifacts import find_agent, identify
from testbed.backends.base import Backend, BackendOptions, Recorder
from testbed.backends.network import Network
from testbed.backends.recorders import NullRecorder

if TYPE_CHECKING:
    from testbed.scenarios.topology import Topology


class NetnsBackend(Backend):
    """Namespaces of the host kernel; time is the host's, so bits differ from execution to execution."""

    name = "netns"
    virtual_time = False
    promises_identical_bits = False

    def capabilities(self, options: BackendOptions | None = None) -> frozenset[str]:
        """Start an agent and ask it what the host kernel can do; once per process and agent."""
        return namespaces.capabilities(find_agent((options or BackendOptions()).agent))

    def up(
        self,
        topology: Topology,
        *,
        seed: int = 1,
        recorder: Recorder | None = None,
        options: BackendOptions | None = None,
    ) -> Network:
        """Make fresh namespaces and bring the topology up in them; see :meth:`Backend.up`."""
        given = options or BackendOptions()
        agent = find_agent(given.agent)
        session, _ = namespaces.start(agent, recorder=recorder or NullRecorder(), options=given)
        try:
            session.send_hello([os.fspath(path) for path in given.shares])
            return Network(
                session,
                topology,
                backend=self.name,
                virtual_time=False,
                seed=seed,
                options=given,
                settle_ns=0,
                artifacts=identify(agent),
                greet=lambda: namespaces.greeted(session),
            )
        except BaseException:
            session.close()
            raise
