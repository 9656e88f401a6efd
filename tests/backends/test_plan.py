# SPDX-License-Identifier: MIT
"""From a topology to the agent's plan, and asking for backends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from testbed.backends.artifacts import find_agent, find_artifacts
from testbed.backends.base import BackendOptions
from testbed.backends.plan import direction_seed, make_plan
from testbed.backends.registry import backend, backends
from testbed.errors import CapabilityError, ConfigError
from testbed.scenarios.layout import interfaces
from testbed.scenarios.registry import scenario

if TYPE_CHECKING:
    from pathlib import Path


def test_plan_of_a_pair() -> None:
    topology = scenario("pair", delay_ms=1.5, rate_bps=10**6, loss_ratio=0.25, jitter_ms=1e-6)
    plan = make_plan(topology, interfaces(topology), seed=7, options=BackendOptions(), settle_ns=5)
    shape = {
        "rate_bps": 1_000_000,
        "delay_ns": 1_500_000,
        "jitter_ns": 1,
        "loss": 0.25,
        "reorder": 0.0,
        "duplicate": 0.0,
        "corrupt": 0.0,
        "queue_packets": 1000,
    }
    end = {"iface": "eth0", "mtu": 1500}
    assert plan == {
        "nodes": [{"name": "h1", "kind": "host", "sysctls": {}}, {"name": "h2", "kind": "host", "sysctls": {}}],
        "links": [
            {
                "name": "h1-h2",
                "ends": [
                    {**end, "node": "h1", "mac": "02:00:00:00:00:00", "addresses": ["10.0.1.1/24", "fd00:1::1/64"]},
                    {**end, "node": "h2", "mac": "02:00:00:00:00:01", "addresses": ["10.0.1.2/24", "fd00:1::2/64"]},
                ],
                "shapes": [
                    {**shape, "seed": direction_seed(7, "h1-h2", 0)},
                    {**shape, "seed": direction_seed(7, "h1-h2", 1)},
                ],
                "capture": True,
            }
        ],
        "routes": [],
        "rules": [],
        "capture": {"full_bytes": 1 << 20, "snaplen": 128, "ring_bytes": 8 << 20},
        "settle": 5,
    }


def test_plan_without_captures() -> None:
    topology = scenario("pair")
    plan = make_plan(topology, interfaces(topology), seed=7, options=BackendOptions(capture=False), settle_ns=0)
    assert plan["capture"] is None
    assert plan["links"][0]["capture"] is False


def test_direction_seed_differs_by_seed_link_and_end() -> None:
    """The golden number is part of what a seed means: it changes only on purpose."""
    assert direction_seed(1, "h1-h2", 0) == 665804451631105720
    seeds = {direction_seed(seed, link, end) for seed in (1, 2) for link in ("a", "b") for end in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 1 << 63 for seed in seeds)


def test_backend_unknown_is_refused_with_near_misses() -> None:
    assert backends() == ["timetravel", "netns", "mininet", "cloudlab"]
    with pytest.raises(ConfigError, match=r"^no backend 'netn'; did you mean 'netns'\?$"):
        backend("netn")


def test_backend_in_real_time_cannot_promise_identical_bits() -> None:
    assert backend(identical_bits=True).name == "timetravel"
    with pytest.raises(
        CapabilityError, match=r"^the backend 'netns' runs in real time: it promises no identical bits, "
    ):
        backend("netns", identical_bits=True)


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"a seed is a number from 0 to 2**64 - 1, not {seed}")):
        backend().up(scenario("single"), seed=seed)


def test_agent_and_kernel_that_are_no_programs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "agent").write_text("")
    with pytest.raises(ConfigError, match=rf"^the agent {tmp_path}/agent is no program\n"):
        find_agent(tmp_path)
    with pytest.raises(ConfigError, match=rf"^the kernel {tmp_path}/linux is no program\n"):
        find_artifacts(tmp_path, None)


def test_agent_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "agent"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("TESTBED_AGENT", str(program))
    assert find_agent(None) == program
