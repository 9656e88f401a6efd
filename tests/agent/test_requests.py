# SPDX-License-Identifier: MIT
"""Requests that are wrong are refused with the right word, and the agent goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack  # type: ignore[import-untyped]
import pytest

from tests.agent.client import Agent, AgentError, Message, pair, shape

if TYPE_CHECKING:
    from tests.agent.conftest import StartAgent


def refused(agent: Agent, op: str, **fields: object) -> AgentError:
    with pytest.raises(AgentError) as caught:
        agent.ask(op, **fields)
    return caught.value


def test_hello_says_who_answers(start: StartAgent) -> None:
    answer = start().hello()
    assert set(answer) == {"version", "release", "machine", "capabilities", "agent"}
    assert answer["version"] == 1


def test_another_version_is_refused(start: StartAgent) -> None:
    error = refused(start(), "hello", version=2, shares=[])
    assert (error.kind, "version 1" in error.what) == ("usage", True)


def test_an_unknown_op_names_the_valid_ones(network: Agent) -> None:
    error = refused(network, "levitate")
    assert error.kind == "usage"
    assert "'levitate'" in error.what
    assert "spawn" in error.what


def test_an_unknown_key_is_named(network: Agent) -> None:
    error = refused(network, "sleep", until=0, soon=True)
    assert (error.kind, "soon" in error.what) == ("usage", True)


def test_a_missing_key_is_named(network: Agent) -> None:
    error = refused(network, "sleep")
    assert (error.kind, "until" in error.what) == ("usage", True)


def test_what_is_no_map_is_refused_and_the_agent_goes_on(network: Agent) -> None:
    network.send_raw(msgpack.packb([1, 2]))
    with pytest.raises(AgentError, match=r"^usage: "):
        network.reply()
    network.send_raw(b"\xc1")
    with pytest.raises(AgentError, match=r"^usage: "):
        network.reply()
    assert network.ask("flush") == {}


def test_the_network_comes_before_its_use(fresh: Agent) -> None:
    error = refused(fresh, "sleep", until=0)
    assert (error.kind, "'up' comes first" in error.what) == ("usage", True)


def test_an_unknown_node_names_the_known_ones(network: Agent) -> None:
    error = refused(network, "read", node="h3", path="/etc/hosts")
    assert error.kind == "usage"
    assert "h1, h2" in error.what


def wrong_plans() -> dict[str, tuple[Message, str]]:
    same_name = pair()
    same_name["nodes"][1]["name"] = "h1"
    nowhere = pair()
    nowhere["links"][0]["ends"][1]["node"] = "h9"
    address = pair()
    address["links"][0]["ends"][0]["addresses"] = ["10.0.0.1/40"]
    mac = pair()
    mac["links"][0]["ends"][0]["mac"] = "02:00"
    route = {"node": "h1", "dst": "10.9.0.0/16", "via": None, "iface": None, "metric": None, "table": None, "src": None}
    return {
        "two nodes of one name": (same_name, "'h1'"),
        "a link to nowhere": (nowhere, "h9"),
        "an address that is none": (address, "10.0.0.1/40"),
        "a MAC address that is none": (mac, "02:00"),
        "a loss above one": (pair(shape(loss=1.5)), "1.5"),
        "reordering without delay": (pair(shape(reorder=0.1)), "delay"),
        "a route without a way": ({**pair(), "routes": [route]}, "10.9.0.0/16"),
    }


@pytest.mark.parametrize("name", wrong_plans())
def test_a_wrong_plan_is_refused(fresh: Agent, name: str) -> None:
    plan, named = wrong_plans()[name]
    error = refused(fresh, "up", plan=plan)
    assert error.kind == "usage"
    assert named in error.what


def test_the_kernels_own_words_come_with_the_step(fresh: Agent) -> None:
    plan = pair()
    route = {"node": "h1", "dst": "10.9.0.0/16", "via": "172.16.0.1", "iface": None}
    plan["routes"] = [{**route, "metric": None, "table": None, "src": None}]
    error = refused(fresh, "up", plan=plan)
    assert (error.kind, error.errno) == ("os", 101)
    assert error.what.startswith("h1: route to 10.9.0.0/16: ")
    assert "Nexthop has invalid gateway" in error.what


def test_impairments_without_netem_are_a_capability_error(start: StartAgent) -> None:
    agent = start()
    if "netem" in agent.hello()["capabilities"]:
        pytest.skip("this kernel has netem, so nothing is missing")
    error = refused(agent, "up", plan=pair(shape(delay_ns=1_000_000)))
    assert error.kind == "capability"
    assert "netem" in error.what
