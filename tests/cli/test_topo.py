# SPDX-License-Identifier: MIT
"""``--topo``: a file with a network in place of a scenario."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from testbed.cli.scenario_words import chosen
from testbed.errors import ConfigError
from testbed.scenarios.registry import scenario

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Testbed


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    path = tmp_path / "ring.json"
    path.write_text(json.dumps(scenario("ring", n=3).to_dict()))
    return path


def test_show_draws_the_network_of_a_file(testbed: Testbed, ring: Path) -> None:
    done = testbed("show", "--topo", ring.name, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(ring.read_text())


@pytest.mark.parametrize("words", [(), ("lan", "--topo", "ring.json")])
def test_show_wants_one_of_both(testbed: Testbed, ring: Path, words: tuple[str, ...]) -> None:
    assert ring.exists()
    done = testbed("show", *words)
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "error: wanted: a scenario, a run, or --topo FILE.py:CLASS"


@pytest.mark.parametrize("command", [("run", "mptcp"), ("exec", "--", "true"), ("shell",), ("show",)])
def test_file_that_is_not_there_is_refused_before_anything_is_built(testbed: Testbed, command: tuple[str, ...]) -> None:
    done = testbed(command[0], "--topo", "no.py:MyTopo", *command[1:])
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "error: no file 'no.py' with a Mininet topology"


def test_parameters_are_not_for_files(ring: Path) -> None:
    assert chosen("lan", (), str(ring)) == scenario("ring", n=3)
    assert chosen("lan:n=2", ("delay_ms=3",), None) == scenario("lan", n=2, delay_ms=3)
    with pytest.raises(ConfigError, match=r"^--param is for scenarios\n"):
        chosen("lan", ("n=3",), str(ring))
