# SPDX-License-Identifier: MIT
"""An experiment of which a part cannot be used: what needs that part is an error, the rest runs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from testbed.backends.base import BackendOptions
from testbed.backends.cloudlab.problems import NodeError
from testbed.errors import DeadlineError
from testbed.scenarios.registry import scenario
from tests.cloudlab.test_command import end, start, verdicts
from tests.cloudlab.test_network import state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from testbed.backends.cloudlab.backend import CloudlabBackend
    from tests.cloudlab.rig import Rig

SUITE = """
import pytest

@pytest.mark.scenario("lan", n=2)
def test_both(network):
    network["h1"].run(["ping", "-c1", network["h2"].address()])

@pytest.mark.requires("ipv6")
@pytest.mark.scenario("single")
def test_one(network):
    assert network["h1"].run("true").returncode == 0
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "suites" / "partly"
    folder.mkdir(parents=True)
    (folder / "test_partly.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


@pytest.fixture
def without_h2(rig: Rig) -> Iterator[Rig]:
    """The experiment with a node that is off."""
    rig.boxes["h2"].power_off()
    yield rig
    if rig.boxes["h2"].sshd is None:
        rig.boxes["h2"].start_sshd()


def test_check_tells_which_node_is_off(without_h2: Rig) -> None:
    words = end(start(without_h2, "check", "--patience", "3"), 7)
    assert "BAD  h2       no answer" in words
    assert "BAD  h1" not in words


def test_cases_that_need_a_node_that_is_off_are_errors_and_run_later(without_h2: Rig, suite: Path) -> None:
    words = end(start(without_h2, "run", "--patience", "3", "suites/partly", "--run-dir", "one", cwd=suite), 3)
    assert "cases that need h2 will be errors; --resume runs them later" in words
    assert verdicts(suite / "one") == {"test_partly.test_both": "error", "test_partly.test_one": "passed"}
    without_h2.boxes["h2"].start_sshd()
    end(start(without_h2, "run", "--resume", "one", "--run-dir", "two", cwd=suite), 0)
    assert set(verdicts(suite / "two").values()) == {"passed"}


def test_a_run_without_any_node_does_not_begin(without_h2: Rig, suite: Path) -> None:
    without_h2.boxes["h1"].power_off()
    try:
        end(start(without_h2, "run", "--patience", "3", "suites/partly", "--run-dir", "one", cwd=suite), 7)
    finally:
        without_h2.boxes["h1"].start_sshd()
    assert not (suite / "one").exists()


def test_the_line_that_replays_a_failure_is_one_of_the_experiment(rig: Rig, suite: Path) -> None:
    (suite / "suites" / "partly" / "test_partly.py").write_text(SUITE.replace("== 0", "== 1"))
    words = end(start(rig, "run", "suites/partly", "--seed", "7", "--run-dir", "one", cwd=suite), 1)
    nodeid = "suites/partly/test_partly.py::test_one"
    line = (
        f"cloudlab run --manifest {rig.manifest} --known-hosts {rig.known_hosts} --identity {rig.identity} {nodeid} "
        "--seed 7"
    )
    assert line in words
    assert f"replay: testbed {line}" in (suite / "one" / "junit.xml").read_text()
    command, *rest = shlex.split(line)[1:]
    assert command == "run"
    words = end(start(rig, "run", *rest[rest.index(nodeid) :], "--run-dir", "two", cwd=suite), 1)
    assert verdicts(suite / "two") == {"test_partly.test_one": "failed"}


def test_a_network_that_lives_too_long_is_ended(rig: Rig, make: Callable[..., CloudlabBackend]) -> None:
    before = [state(box) for box in rig.boxes.values()]
    network = make().up(scenario("lan", n=2), options=BackendOptions(wall_limit_s=3.0))
    with pytest.raises(DeadlineError, match=r"^the network has lived for its 3 s of wall time"):
        network["h1"].run(["sleep", "60"])
    network.down()
    after = [state(box) for box in rig.boxes.values()]
    assert [one[:-1] for one in after] == [one[:-1] for one in before]


def test_a_node_that_is_unfit_stays_so(
    rig: Rig, make: Callable[..., CloudlabBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.backends.cloudlab.facts._OLDEST", (99, 0))
    backend = make()
    told = []
    for _ in range(3):
        with pytest.raises(NodeError) as found:
            backend.up(scenario("lan", n=2))
        told.append(found.value.verdict)
    assert told == ["unfit (kernel)"] * 3, "and not gone: it let us in each time"
    assert rig.boxes["h1"].sshd is not None
