# SPDX-License-Identifier: MIT
"""``profile.py``: with geni-lib's own request, it asks for what ``testbed cloudlab profile`` renders."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from geni.rspec import pg

from testbed.backends.cloudlab.rspec import RSPEC, request
from testbed.scenarios.registry import scenario

PROFILE = Path(__file__).resolve().parents[2] / "profile.py"


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand in for ``geni.portal``, which on PyPI is Python 2 to this day; the request is geni-lib's own."""
    given: dict[str, Any] = {"values": {}, "errors": []}
    defaults: dict[str, Any] = {}
    module = types.ModuleType("geni.portal")
    made = pg.Request()

    def parameter(name: str, text: str, kind: str, default: object, legal: list[tuple[str, str]] | None = None) -> None:
        assert text
        assert kind
        assert legal is None or default in dict(legal)
        defaults[name] = default

    def verify() -> None:
        if given["errors"]:
            raise SystemExit(str(given["errors"][0]))

    class ParameterError(Exception):
        """As geni-lib's: a text, and the names of parameters."""

    module.context = types.SimpleNamespace(  # type: ignore[attr-defined]
        defineParameter=parameter,
        bindParameters=lambda: types.SimpleNamespace(**{**defaults, **given["values"]}),
        reportError=given["errors"].append,
        verifyParameters=verify,
        makeRequestRSpec=lambda: made,
        printRequestRSpec=lambda shown: given.update(xml=shown.toXMLString(pretty_print=True)),
    )
    module.ParameterType = types.SimpleNamespace(STRING="s", INTEGER="i", NODETYPE="n")  # type: ignore[attr-defined]
    module.ParameterError = ParameterError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "geni.portal", module)
    monkeypatch.setattr("geni.portal", module, raising=False)
    return given


def run(portal: dict[str, Any], **values: object) -> str | bytes:
    portal["values"] = values
    spec = importlib.util.spec_from_file_location("profile_of_testbed", PROFILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()
    xml: str | bytes = portal["xml"]
    return xml


def shape(xml: str | bytes) -> dict[str, Any]:
    """Give what an experiment will have: nodes, types, addresses, links."""
    root = ET.fromstring(xml)
    tag = f"{{{RSPEC}}}".__add__
    return {
        "addresses": {
            end.get("client_id"): [ip.get("address") for ip in end.iter(tag("ip"))]
            for end in root.iter(tag("interface"))
        },
        "hardware": {
            node.get("client_id"): [kind.get("name") for kind in node.iter(tag("hardware_type"))]
            for node in root.iter(tag("node"))
        },
        "links": {
            link.get("client_id"): [end.get("client_id") for end in link.iter(tag("interface_ref"))]
            for link in root.iter(tag("link"))
        },
        "services": {
            node.get("client_id"): [(one.get("shell"), one.get("command")) for one in node.iter(tag("execute"))]
            for node in root.iter(tag("node"))
        },
        "link settings": {
            link.get("client_id"): sorted(one.tag for one in link if "emulab" in one.tag)
            for link in root.iter(tag("link"))
        },
        "images": {image.get("name") for image in root.iter(tag("disk_image"))},
    }


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("layout", ["lan", "chain"])
def test_it_asks_for_what_the_command_renders(portal: dict[str, Any], layout: str, count: int) -> None:
    found = shape(run(portal, layout=layout, count=count, hardware="d6515"))
    assert found == shape(request(scenario(layout, n=count), hardware="d6515"))


def test_packages_are_installed_one_by_one_after_fresh_lists(portal: dict[str, Any]) -> None:
    found = shape(run(portal, layout="lan", count=2, huge_pages=0))
    ((shell, command),) = found["services"]["h1"]
    assert shell == "sh"
    # Executed with a sudo that has no list at first, and does not know one of the packages.
    script = "sudo() { case $2 in update) fresh=1 ;; *) "
    script += '[ -n "$fresh" ] && echo "$4" && [ "$4" != tcpdump ] ;; esac; }\n'
    done = subprocess.run(["sh", "-c", script + command], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["iperf3", "ethtool", "tcpdump", "mptcpize", "nftables"]


def test_a_node_type_with_too_few_nics_is_warned_of() -> None:
    argv = [sys.executable, "-m", "testbed", "cloudlab", "profile", "chain:n=3", "--hardware"]
    for hardware, warned in (("xl170", True), ("d6515", False), ("unknown", False)):
        done = subprocess.run([*argv, hardware], capture_output=True, text=True, check=True, cwd=PROFILE.parent)
        words = f"warning: a node has 2 links here, and {hardware} has 1 NIC for them"
        assert (words in done.stderr) == warned


def test_a_number_that_makes_no_sense_is_refused(portal: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match="wanted 2 to 100 nodes"):
        run(portal, count=1)
