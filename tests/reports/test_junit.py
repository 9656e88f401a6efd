# SPDX-License-Identifier: MIT
"""junit.xml: valid by the schema whatever happened, and failures at their place in the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from testbed.harness.records import Failure
from testbed.reports import junit, runjson
from testbed.verdict import Verdict

from .made_up import HOSTILE, case, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.inner import Inner

SCHEMA = etree.XMLSchema(etree.parse(runjson.SCHEMA_FILE.with_name("junit.xsd")))


def parsed(text: str) -> Any:
    """Read a report, and refuse one that the schema refuses."""
    root = etree.fromstring(text.encode())
    SCHEMA.assertValid(root)
    return root


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_is_valid_and_counted(verdict: Verdict, tmp_path: Path) -> None:
    root = parsed(junit.render(run(case(verdict, reason="why"), case(test="test_y")), tmp_path))
    (suite,) = root
    child = junit._ELEMENT.get(verdict)
    assert suite.get("tests") == root.get("tests") == "2"
    for counter, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.get(counter) == root.get(counter) == ("1" if element == child else "0")
    if child is not None:
        assert suite.find(f"testcase/{child}").get("message") == f"{verdict}: why"


def test_an_empty_run_and_one_with_problems_alone_are_valid(tmp_path: Path) -> None:
    assert len(parsed(junit.render(run(), tmp_path))) == 0
    root = parsed(junit.render(run(problems=[f"cannot collect {HOSTILE}"]), tmp_path))
    assert root.get("errors") == "1"
    assert "cannot collect" in root.find(".//error").text


def test_hostile_text_is_text(tmp_path: Path) -> None:
    failure = Failure(f"def f():\nE   {HOSTILE}", "suites/mptcp/test_it.py", 12)
    bad = case(Verdict.FAILED, test=f"test_x[{HOSTILE}]", reason=f"AssertionError: {HOSTILE}", failure=failure)
    root = parsed(junit.render(run(bad), tmp_path))
    text = root.find(".//failure").text
    assert "<script>alert(1)</script>" in text
    assert "red" in text
    assert "\\x00\\x07" in text
    assert "\\u202e" in text
    assert "\x1b" not in text
    assert "title" not in text
    assert root.find(".//failure").get("type") == "AssertionError"


SUITE = """
    import pytest

    def test_good(network):
        network["h1"].run(["echo", "x"])

    def test_bad(network):
        said = network["h1"].run(["echo", "\\x1b[31mred\\x1b[0m <&> \\x00\\x07 ]]>"])
        assert said == "other"

    def test_warned(network):
        network["h1"].run(["warn"])

    def test_skipped(network):
        pytest.skip("no reason at all")

    def test_dies(network):
        network["h1"].run(["panic"])
"""


def test_a_run_s_failures_stand_at_their_line_with_the_record_s_words(inner: Inner) -> None:
    inner.suite(SUITE)
    inner.run()
    root = parsed((inner.run_dir / "junit.xml").read_text())
    cases = {entry.get("name"): entry for entry in root.iter("testcase")}
    assert {
        name: [child.tag for child in entry if child.tag in junit._COUNTED.values()] for name, entry in cases.items()
    } == {
        "test_good": [],
        "test_bad": ["failure"],
        "test_warned": ["error"],
        "test_skipped": ["skipped"],
        "test_dies": ["error"],
    }
    bad = cases["test_bad"]
    assert (bad.get("file"), bad.get("line")) == ("suites/mini_suite/test_it.py", "9")
    assert bad.find("failure").text.startswith("suites/mini_suite/test_it.py:9: failed: AssertionError")
    assert (
        "\nreplay: testbed run suites/mini_suite/test_it.py::test_bad --seed 1 --repeat 2" in bad.find("failure").text
    )
    out = bad.find("system-out").text
    assert "== h1: echo" in out
    assert "red <&> \\x00\\x07 ]]>" in out
    assert "WARNING: CPU: 0" in cases["test_warned"].find("system-out").text
    assert cases["test_good"].find("system-out") is None
    properties = {entry.get("name"): entry.get("value") for entry in cases["test_good"].iter("property")}
    assert properties["verdict"] == "passed"
    assert len(properties["digest"]) == 64
    assert (inner.run_dir / properties["record"]).is_dir()


def test_a_module_that_cannot_be_collected_is_an_error(inner: Inner) -> None:
    inner.suite("import no_such_module_here")
    inner.run()
    root = parsed((inner.run_dir / "junit.xml").read_text())
    assert "no_such_module_here" in root.find(".//error").get("message")


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root[0].set("tests", "-1"),
        lambda root: root[0][1].set("line", "0"),
        lambda root: root[0][1].set("time", "soon"),
        lambda root: root[0][1].attrib.pop("name"),
        lambda root: root[0].set("timestamp", "now"),
        lambda root: etree.SubElement(root[0][1], "nonsense"),
        lambda root: root[0][1].set("colour", "red"),
    ],
)
def test_the_schema_refuses_what_is_wrong(change: Any, tmp_path: Path) -> None:
    root = parsed(junit.render(run(case()), tmp_path))
    change(root)
    assert not SCHEMA.validate(root)


def test_a_full_disk_costs_the_report_and_not_the_run(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(junit, "write", full)
    inner.suite("def test_ok(network):\n    network['h1'].run(['echo', 'x'])")
    assert inner.run().ret == 0
    assert inner.document()["state"] == "finished"
