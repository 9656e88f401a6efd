# SPDX-License-Identifier: MIT
"""Badges: one SVG and one endpoint for each library OS and for the whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from testbed.errors import ConfigError
from testbed.reports import badges
from testbed.verdict import Verdict

from .made_up import HOSTILE, case, run

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.harness.records import CaseRecord

SVG = "{http://www.w3.org/2000/svg}"


def test_a_run_writes_a_badge_for_its_flavor_and_one_for_the_whole(tmp_path: Path) -> None:
    (tmp_path / "catnip.json").write_text("{}")
    written = badges.write(run(case(), case(test="test_y")), tmp_path)
    assert [path.name for path in written] == ["linux.svg", "linux.json", "testbed.svg", "testbed.json"]
    assert json.loads((tmp_path / "linux.json").read_text()) == {
        "schemaVersion": 1,
        "label": "linux",
        "message": "2 passed, 2x identical",
        "color": "brightgreen",
    }
    assert (tmp_path / "catnip.json").read_text() == "{}"  # another run's


@pytest.mark.parametrize(
    ("cases", "message", "color"),
    [
        ([case(executions=1)], "1 passed", "brightgreen"),
        ([case(), case(Verdict.SKIPPED, executions=0)], "1 passed, 2x identical", "brightgreen"),
        ([case(), case(Verdict.CRASHED), case(Verdict.FAILED)], "1 crashed, 1 failed, 1 passed", "red"),
        ([case(), case(Verdict.NOT_RUN, executions=0)], "1 not run, 1 passed", "orange"),
        ([case(Verdict.SKIPPED, executions=0)], "1 skipped", "lightgrey"),
        ([], "no cases", "orange"),
    ],
)
def test_message_and_color(cases: list[CaseRecord], message: str, color: str) -> None:
    found = badges.badges(run(*cases))["linux"].endpoint()
    assert (found["message"], found["color"]) == (message, color)
    assert found.get("isError", False) == (color == "red")


def test_problems_beside_the_cases_are_on_the_whole_s_badge() -> None:
    assert badges.badges(run(case(), problems=["cannot collect"]))["testbed"].endpoint()["isError"]


@pytest.mark.parametrize(
    ("libos", "name"),
    [
        ("linux", "linux"),
        ("/cache/artifacts/linux-6.12.117-0123456789ab", "linux"),
        ("/cache/artifacts/catnip-0123456789ab/", "catnip"),
        ("catmem", "catmem"),
        ("../../etc/<x>", "_x_"),
        ("/", "libos"),
    ],
)
def test_the_flavor_s_name_is_a_file_s(libos: str, name: str) -> None:
    assert badges.flavor_of(run(libos=libos)) == name


def test_the_drawing_is_svg_and_stands_alone() -> None:
    badge = badges.Badge("lin<ux>&", '"2" passed', "PASS")
    root = etree.fromstring(badge.svg().encode())
    assert root.tag == f"{SVG}svg"
    assert root.get("aria-label") == 'lin<ux>&: "2" passed'
    assert [text.text for text in root.iter(f"{SVG}text")] == ["lin<ux>&", '"2" passed']
    assert "http" not in badge.svg().replace("http://www.w3.org/2000/svg", "")
    assert int(root.get("width")) > sum(float(text.get("textLength")) for text in root.iter(f"{SVG}text"))


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    for path in badges.write(run(case(), libos=HOSTILE), tmp_path):
        assert path.parent == tmp_path
        if path.suffix == ".svg":
            etree.fromstring(path.read_bytes())


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^cannot write badges into .*/file: "):
        badges.write(run(case()), tmp_path / "file")
