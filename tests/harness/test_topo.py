# SPDX-License-Identifier: MIT
"""``--topo``: a network of the user's in place of the cases' own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from testbed.scenarios.registry import scenario

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.inner import Inner

SUITE = """
    import pytest
    from testbed.scenarios.registry import scenario

    def test_plain(network, topology):
        assert [link.name for link in topology.links] == ["h1-s1", "h2-s1", "h3-s1"]

    @pytest.mark.scenario("chain", n=3)
    def test_needs_a_router(network):
        raise AssertionError("it must not run")

    @pytest.mark.scenario(scenario, name="pair")
    def test_function(network):
        pass

    @pytest.mark.scenario(scenario("lan", n=2))
    def test_topology(network):
        pass

    class TestOwnFixture:
        @pytest.fixture
        def topology(self):
            return scenario("pair")

        def test_own(self, network):
            pass
"""


@pytest.fixture
def lan(tmp_path: Path) -> Path:
    """A switch and three hosts, as a file."""
    path = tmp_path / "lan.json"
    path.write_text(json.dumps(scenario("lan", n=3).to_dict()))
    return path


def nodes(inner: Inner, case: dict[str, Any]) -> list[str]:
    """Give the nodes of the network that a case had, as its record has them."""
    data = json.loads((inner.run_dir / case["folder"] / "1/topology.json").read_text())
    return [node["name"] for node in data["nodes"]]


def test_cases_get_the_network_or_are_skipped(inner: Inner, lan: Path) -> None:
    inner.suite(SUITE)
    inner.run("--topo", str(lan)).assert_outcomes(passed=4, skipped=1)
    for name in ("test_plain", "test_function", "test_topology", "test_own"):
        assert nodes(inner, inner.case(f"::{name}")) == ["s1", "h1", "h2", "h3"], name
    case = inner.case("needs_a_router")
    assert case["verdict"] == "skipped"
    assert case["reason"] == f"the network of {lan} has no r1, which the case is about"


def test_cases_keep_their_own_without_it(inner: Inner) -> None:
    inner.suite("def test_it(network): pass")
    inner.run().assert_outcomes(passed=1)
    assert nodes(inner, inner.case()) == ["h1", "h2"]


def test_workers_get_it_too_and_a_failure_says_how_to_run_it_again(inner: Inner, lan: Path) -> None:
    inner.suite("def test_it(network): assert not network")
    result = inner.run("--topo", str(lan), "-n", "2", process=True)
    assert nodes(inner, inner.case()) == ["s1", "h1", "h2", "h3"]
    result.stdout.fnmatch_lines([f"pytest *::test_it --seed 1 --repeat 2 --backend fake --topo {lan}"])


def test_file_that_makes_no_network_is_refused_at_once(inner: Inner, tmp_path: Path) -> None:
    inner.suite("def test_it(network): pass")
    result = inner.run("--topo", str(tmp_path / "no.py"), process=True)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: no file '{tmp_path}/no.py' with a Mininet topology*"])
    assert not inner.run_dir.exists()
