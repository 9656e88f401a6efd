# SPDX-License-Identifier: MIT
"""The scenarios: what they make, and how they are asked for."""

from __future__ import annotations

import re

import pytest

from testbed.errors import ConfigError
from testbed.scenarios.registry import scenario, scenario_from_text, scenarios
from testbed.scenarios.shape import Shape


def shown(name: str, **params: object) -> tuple[list[str], list[str]]:
    topology = scenario(name, **params)
    return [f"{node.kind[0]}:{node.name}" for node in topology.nodes], [str(link.name) for link in topology.links]


def test_scenarios_make_what_they_say() -> None:
    assert shown("single") == (["h:h1"], [])
    assert shown("pair") == (["h:h1", "h:h2"], ["h1-h2"])
    assert shown("lan", n=2) == (["s:s1", "h:h1", "h:h2"], ["h1-s1", "h2-s1"])
    assert shown("chain", n=2) == (["h:h1", "h:h2"], ["h1-h2"])
    assert shown("chain", n=4) == (["h:h1", "r:r1", "r:r2", "h:h2"], ["h1-r1", "r1-r2", "r2-h2"])
    assert shown("dumbbell", n=1) == (["r:r1", "r:r2", "h:c1", "h:s1"], ["c1-r1", "r1-r2", "r2-s1"])
    assert shown("two_path") == (["h:h1", "h:h2", "r:r1", "r:r2"], ["h1-r1", "r1-h2", "h1-r2", "r2-h2"])
    assert shown("tree", depth=1, fanout=2) == (["r:r1", "h:h1", "h:h2"], ["r1-h1", "r1-h2"])
    assert shown("tree", depth=2, fanout=1) == (["r:r1", "r:r2", "h:h1"], ["r1-r2", "r2-h1"])
    assert shown("ring", n=3)[1] == ["r1-r2", "r2-r3", "r3-r1", "h1-r1", "h2-r2", "h3-r3"]


def test_scenario_two_path_has_a_shape_per_path() -> None:
    topology = scenario("two_path", loss_ratio=0.01, path1={"delay_ms": 10}, path2={"delay_ms": 1e-6, "loss_ratio": 0})
    shapes = {link.name: link.shape for link in topology.links}
    assert shapes == {
        "h1-r1": Shape(loss_ratio=0.01, delay_ms=10),
        "r1-h2": Shape(),
        "h1-r2": Shape(delay_ms=1e-6),
        "r2-h2": Shape(),
    }


def test_scenarios_list_documents_every_parameter() -> None:
    listed = scenarios()
    assert [info.name for info in listed] == ["single", "pair", "lan", "chain", "dumbbell", "two_path", "tree", "ring"]
    for info in listed:
        assert info.doc.startswith("Make ")
        assert all(param.doc for param in info.params), info.name
    lan = next(info for info in listed if info.name == "lan")
    assert [(param.name, param.default) for param in lan.params[:3]] == [
        ("n", "4"),
        ("rate_bps", "None"),
        ("delay_ms", "0.0"),
    ]


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("pear", {}, "no scenario 'pear'; did you mean 'pair'?"),
        ("pair", {"delay": 5}, "scenario 'pair' has no parameter 'delay'; did you mean 'delay_ms'?"),
        ("single", {"n": 5}, "scenario 'single' has no parameter 'n'; it has none"),
        ("lan", {"n": 0}, "n must be a whole number from 1 to 10000, not 0"),
        ("lan", {"n": 2.5}, "n must be a whole number from 1 to 10000, not 2.5"),
        ("ring", {"n": 2}, "n must be a whole number from 3 to 5000, not 2"),
        ("tree", {"depth": 16, "fanout": 3}, "fanout ** depth must be a whole number from 1 to 10000, not 43046721"),
        ("two_path", {"path1": {"dely_ms": 1}}, "a link has no 'dely_ms'; did you mean 'delay_ms'?"),
        ("two_path", {"path1": 5}, "scenario 'two_path': 'int' object is not a mapping"),
    ],
)
def test_scenario_refused(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        scenario(name, **params)


def test_scenario_from_text_reads_numbers() -> None:
    assert scenario_from_text("lan", {"n": "3", "delay_ms": "2.5", "rate_bps": "1e6"}) == scenario(
        "lan", n=3, delay_ms=2.5, rate_bps=1_000_000
    )
    assert scenario_from_text("pair", {"rate_bps": "none"}) == scenario("pair")
    assert scenario_from_text("two_path", {"path1": "delay_ms=10,rate_bps=5e6"}) == scenario(
        "two_path", path1={"delay_ms": 10, "rate_bps": 5_000_000}
    )


def test_scenario_from_text_refuses_words() -> None:
    with pytest.raises(ConfigError, match=r"^n must be a whole number from 1 to 10000, not 'ten'$"):
        scenario_from_text("lan", {"n": "ten"})


def test_scenario_from_text_refuses_infinity() -> None:
    with pytest.raises(ConfigError, match=r"^delay_ms must be a number from 0 to 3.6e\+06, not inf"):
        scenario_from_text("pair", {"delay_ms": "inf"})
