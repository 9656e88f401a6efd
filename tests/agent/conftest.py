# SPDX-License-Identifier: MIT
"""The agent's binary, and agents that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from testbed.agent.build import ensure_agent
from tests.agent.client import Agent, AgentError, Message, pair

if TYPE_CHECKING:
    from pathlib import Path

StartAgent = Callable[..., Agent]


@pytest.fixture(scope="session")
def binary() -> Path:
    return ensure_agent().file("rootfs/agent")


@pytest.fixture
def start(binary: Path) -> Iterator[StartAgent]:
    """Start an agent; it is closed after the test."""
    started: list[Agent] = []

    def start_one(*arguments: str, program: Path | None = None, **options: Any) -> Agent:
        agent = Agent.start(program or binary, *arguments, **options)
        started.append(agent)
        return agent

    yield start_one
    for agent in started:
        agent.sock.close()
        agent.process.kill()
        agent.process.wait()


@pytest.fixture
def fresh(start: StartAgent) -> Agent:
    """An agent that has been greeted; skips where the machine allows no namespaces."""
    agent = start()
    try:
        agent.hello()
    except AgentError as error:
        if error.kind == "capability":
            pytest.skip(f"no namespaces here: {error.what}")
        raise
    return agent


@pytest.fixture
def network(fresh: Agent) -> Agent:
    """Two hosts and a link, captured."""
    plan: Message = pair(capture={"full_bytes": 1 << 20, "snaplen": 128, "ring_bytes": 2 << 20})
    fresh.ask("up", plan=plan)
    return fresh
