# SPDX-License-Identifier: MIT
"""show: what of, and in which form."""

from __future__ import annotations

import json
import xml.dom.minidom
from typing import TYPE_CHECKING

import pytest

from testbed import paths
from testbed.backends.registry import backend
from testbed.errors import CapabilityError
from testbed.scenarios.registry import scenario
from testbed.scenarios.topology import Topology

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Testbed


def test_a_scenario_is_drawn(testbed: Testbed) -> None:
    done = testbed("show", "lan:n=3,delay_ms=5", "-p", "loss_ratio=0.1")
    assert done.returncode == 0, done.stderr
    assert "│ h3 " in done.stdout
    assert "5 ms  loss 0.1" in done.stdout


def test_json_can_be_read_back(testbed: Testbed) -> None:
    found = Topology.from_dict(json.loads(testbed("show", "ring:n=5", "--json").stdout))
    assert found == scenario("ring", n=5)


def test_svg_goes_to_a_file_or_to_stdout(testbed: Testbed, tmp_path: Path) -> None:
    done = testbed("show", "pair", "--svg", "pair.svg")
    assert (done.stdout, done.stderr) == ("", "drawing: pair.svg\n")
    xml.dom.minidom.parse(str(tmp_path / "pair.svg"))
    assert testbed("show", "pair", "--svg", "-").stdout == (tmp_path / "pair.svg").read_text() + "\n"


def test_the_topology_of_a_run_is_what_it_was(testbed: Testbed) -> None:
    try:
        backend("netns").capabilities()
    except CapabilityError as error:
        pytest.skip(str(error))
    made = testbed(
        "exec", "--backend", "netns", "-S", "chain", "--", "true", env={"TESTBED_CACHE": str(paths.cache_dir())}
    )
    assert made.returncode == 0, made.stderr
    for words in (("latest",), ("latest", "true")):
        done = testbed("show", *words, "--json")
        assert Topology.from_dict(json.loads(done.stdout)) == scenario("chain")
    done = testbed("show", "latest", "flase")
    assert done.returncode == 4
    assert "no case 'flase'" in done.stderr


def test_what_is_neither_is_an_error(testbed: Testbed) -> None:
    done = testbed("show", "lann")
    assert done.returncode == 4
    assert "'lann' is no scenario and no run: " in done.stderr
    assert "hint: scenarios: single, pair, lan" in done.stderr
