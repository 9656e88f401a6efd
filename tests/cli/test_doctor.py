# SPDX-License-Identifier: MIT
"""doctor: what it looks at, what it says of a miss, and its closing line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from testbed.cli import machine
from testbed.cli.machine import Check

if TYPE_CHECKING:
    from .conftest import Testbed


def test_json_has_every_check_and_agrees_with_the_exit_code(testbed: Testbed) -> None:
    done = testbed("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["ready"] else 7)
    names = {check["name"] for check in found["checks"]}
    assert {"machine", "user", "ptrace", "host MPTCP", "host SCTP", "gcc", "cargo", "artifacts", "disk"} <= names
    assert {check["status"] for check in found["checks"]} <= {"ok", "limited", "missing"}
    for check in found["checks"]:
        assert check["status"] == "ok" or check["remedy"], check


def test_the_last_line_says_what_to_type(testbed: Testbed) -> None:
    done = testbed("doctor")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("ready: testbed make test" if done.returncode == 0 else "not ready")


def test_a_machine_without_tools_is_not_ready(testbed: Testbed, tmp_path: object) -> None:
    done = testbed("doctor", "--json", env={"PATH": str(tmp_path)})
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 7
    assert found["gcc"]["status"] == "missing"
    assert found["cargo"]["status"] == "missing"


def _missing(name: str, package: str | None) -> Check:
    return Check(name, "missing", "not there", "do something", package)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ([], "ready: testbed make test"),
        (
            [_missing("a", "b"), _missing("c", "a"), _missing("d", "a")],
            "type: apt-get install -y --no-install-recommends a b",
        ),
        ([_missing("a", "b"), _missing("c", None)], "not ready; type: apt-get install -y --no-install-recommends b"),
        ([_missing("c", None)], "not ready; first: do something"),
    ],
)
def test_closing_line(missing: list[Check], line: str) -> None:
    assert machine.closing(missing).endswith(line)


def test_the_package_list_is_well_formed() -> None:
    wanted = machine.wanted_packages()
    names = [name for alternatives, _, _ in wanted for name in alternatives]
    assert len(names) == len(set(names))
    assert {when for _, when, _ in wanted} <= {"build", "run", "libos", "check", "bench"}
    assert all(purpose for _, _, purpose in wanted)


def test_a_missing_package_for_runs_counts_and_one_for_benchmarks_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "\n".join(
        f"{name} installed"
        for alternatives, _, _ in machine.wanted_packages()
        for name in alternatives
        if name not in {"iperf3", "mininet"}
    )
    monkeypatch.setattr(machine, "_output", lambda *_, **__: listed)
    found = {check.name: (check.status, check.remedy) for check in machine._packages() if check.status != "ok"}
    assert found == {
        "package iperf3": ("missing", "apt-get install -y iperf3"),
        "package mininet": ("limited", "apt-get install -y mininet; testbed.sh check does so, too"),
    }
