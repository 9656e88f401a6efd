# SPDX-License-Identifier: MIT
"""The command that executes a case again: one line for all who print it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from testbed.harness.rerun import again_line, rerun_line, run_line
from testbed.harness.settings import Settings
from testbed.reports import annotations as marks
from testbed.reports import junit, summary
from testbed.verdict import Verdict
from tests.reports.made_up import case, run

if TYPE_CHECKING:
    from pathlib import Path

RARE = ["--topo", "/a b.json", "--switch", "ovs", "--no-captures", "--spin-ms", "5"]
LINE = "testbed run suites/mptcp/test_it.py::test_x --seed 1 --repeat 2"
LINE += " --topo '/a b.json' --switch ovs -- --no-captures --spin-ms 5"


def test_settings_name_the_rarer_options() -> None:
    settings = Settings(
        seed=1,
        repeat=None,
        backend="timetravel",
        libos="linux",
        keep=False,
        stall_s=30,
        wall_limit_s=None,
        real_time_limit_s=60,
        require=(),
        capture=True,
        spin_ms=0,
    )
    assert settings.rerun_options() == []
    rare = dataclasses.replace(settings, topo="/a b.json", switch="ovs", capture=False, spin_ms=5)
    assert rare.rerun_options() == RARE


def test_plain_pytest_takes_them_as_they_are() -> None:
    line = rerun_line("t.py::x", seed=7, repeat=1, backend="netns", libos="catnip", options=RARE, program=None)
    rare = "--topo '/a b.json' --switch ovs --no-captures --spin-ms 5"
    assert line == f"pytest t.py::x --seed 7 --repeat 1 --backend netns --libos catnip {rare}"


@pytest.mark.parametrize("renders", ["summary", "junit", "annotations"])
def test_every_report_has_all_of_them(renders: str, tmp_path: Path) -> None:
    found = run(case(Verdict.FAILED, reason="no"), options=RARE)
    text = {
        "summary": lambda: summary.render(found),
        "junit": lambda: junit.render(found, tmp_path),
        "annotations": lambda: "\n".join(marks.render(found)),
    }[renders]()
    assert LINE in text


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "testbed replay latest suites/mptcp/test_it.py::test_x"),
        ({"backend": "netns"}, "testbed run suites/mptcp/test_it.py::test_x --seed 1 --repeat 2 --backend netns"),
        ({"suite": "exec", "command": ["testbed", "exec", "--", "false"]}, "testbed exec -- false"),
        ({"suite": "shell", "command": ["testbed", "shell", "lan"]}, "testbed shell lan"),
    ],
)
def test_what_cannot_be_replayed_is_made_again(change: dict[str, object], line: str) -> None:
    values = dict(change)
    entry = case(Verdict.FAILED, suite=str(values.pop("suite", "mptcp")))
    found = run(entry, **values)
    assert again_line(found, entry, "latest") == line
    if "replay" not in line:
        assert run_line(found, entry) == line
