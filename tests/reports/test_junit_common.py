# SPDX-License-Identifier: MIT
"""junit.xml against the schema that most others check with, and the few things that ours has beyond it.

Source of the rules: ``junit-10.xsd`` of Jenkins' xunit plugin (github.com/jenkinsci/xunit-plugin), which pytest's own
tests use, too. They are stated here in words of our own: which element may hold which, with which attributes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from testbed.harness.records import Failure
from testbed.reports import junit
from testbed.verdict import Verdict
from tests.reports.made_up import HOSTILE, case, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RESULT: dict[str, Any] = {"holds": set(), "may": {"type", "message"}}
_TEXT: dict[str, Any] = {"holds": set(), "may": set()}
COMMON: dict[str, dict[str, Any]] = {
    "testsuites": {"holds": {"testsuite"}, "may": {"name", "time", "tests", "failures", "errors"}},
    "testsuite": {
        "holds": {"testsuite", "properties", "testcase", "system-out", "system-err"},
        "must": {"name", "tests", "failures", "errors"},
        "may": {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
    },
    "testcase": {
        "holds": {"skipped", "error", "failure", "system-out", "system-err"},
        "must": {"name"},
        "may": {"time", "classname", "group"},
    },
    "properties": {"holds": {"property"}, "may": set()},
    "property": {"holds": set(), "must": {"name", "value"}, "may": set()},
    "failure": _RESULT,
    "error": _RESULT,
    "skipped": _RESULT,
    "system-out": _TEXT,
    "system-err": _TEXT,
}
"""Element: the elements that it may hold, the attributes that it must have, and those that it may have besides."""
EXTRAS = {
    ("testsuites", "skipped"): "Testmo's documentation; readers that do not know it count the suites' own",
    ("testsuites", "timestamp"): "Testmo's documentation",
    ("testcase", "file"): "GitLab and the readers for GitHub show a failure in place by it",
    ("testcase", "line"): "the same",
    ("testcase", "<properties>"): "pytest's older family and Testmo's documentation; seed, digest, LibOS of a case",
}
"""What ours has that the common schema does not know: element and attribute (or ``<child>``), and who reads it."""
_SECONDS = re.compile(r"\d*(\.\d*)?")


def beyond(root: ET.Element) -> Iterator[tuple[str, str]]:
    """Give everything that the common schema does not allow, as keys of ``EXTRAS``."""
    for element in root.iter():
        rule = COMMON.get(element.tag)
        if rule is None:
            yield element.tag, ""
            continue
        yield from ((element.tag, f"<{child.tag}>") for child in element if child.tag not in rule["holds"])
        must = rule.get("must", set())
        yield from ((element.tag, f"no {name}") for name in must - set(element.keys()))
        yield from ((element.tag, name) for name in set(element.keys()) - must - rule["may"])
        if not _SECONDS.fullmatch(element.get("time", "0")):
            yield element.tag, f"time={element.get('time')!r}"


@pytest.fixture
def document(tmp_path: Path) -> ET.Element:
    """Give a report with every verdict, hostile text, a LibOS and a problem beside the cases."""
    failure = Failure(f"def f():\nE   {HOSTILE}", "suites/mptcp/test_it.py", 12)
    cases = [case(verdict, test=f"test_{verdict}", reason=HOSTILE, failure=failure) for verdict in Verdict]
    found = run(*cases, case(suite="other", libos="catnip"), problems=["cannot collect"], wall_s=12345.678)
    return ET.fromstring(junit.render(found, tmp_path))


def test_all_but_the_listed_extras_is_common(document: ET.Element) -> None:
    assert set(beyond(document)) == EXTRAS.keys(), "an extra that is used no more goes from the list, too"


def test_without_the_extras_it_is_common(document: ET.Element) -> None:
    for element in document.iter():
        for tag, name in EXTRAS:
            if element.tag == tag and name.startswith("<"):
                for child in element.findall(name.strip("<>")):
                    element.remove(child)
            elif element.tag == tag:
                element.attrib.pop(name, None)
    assert list(beyond(document)) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda root: root.set("colour", "red"), ("testsuites", "colour")),
        (lambda root: root[0].attrib.pop("tests"), ("testsuite", "no tests")),
        (lambda root: ET.SubElement(root[0], "verdict"), ("testsuite", "<verdict>")),
        (lambda root: ET.SubElement(root[0], "verdict"), ("verdict", "")),
        (lambda root: root[0].set("time", "1,5 s"), ("testsuite", "time='1,5 s'")),
    ],
)
def test_the_check_finds_what_is_not_common(document: ET.Element, change: Any, found: tuple[str, str]) -> None:
    change(document)
    assert found in set(beyond(document)) - EXTRAS.keys()


def test_the_libos_of_a_case_is_a_property(document: ET.Element) -> None:
    found = document.findall(".//testcase/properties/property[@name='libos']")
    assert [entry.get("value") for entry in found] == ["catnip"]
