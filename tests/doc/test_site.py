# SPDX-License-Identifier: MIT
"""The manual as a site: `testbed check doc` builds it; here its strictness, and that it needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from testbed.cli.check import steps

from .pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HOME = "# Home\n\n[the page](page.md), [why](decisions/index.md), [the README](../README.md#heading)\n"
GOOD = {
    "README.md": "# Read\n\n## Heading\n",
    "doc/index.md": HOME,
    "doc/page.md": "# Page\n",
    "doc/decisions/index.md": "# Why\n",
    "doc/decisions/0001-x.md": "# 1. X\n",
}
_LOADED = re.compile(
    r"""<(?:script|img|link|iframe)[^>]+(?:src|href)=["'](?:https?:)?//([^"']+)|url\(["']?(?:https?:)?//|@import"""
)


def build(tmp_path: Path, pages: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Build pages as `testbed check doc` builds the manual."""
    for name, text in pages.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (step,) = (step for step in steps() if step.name == "doc")
    places = {"doc": str(ROOT / "doc"), ".": str(tmp_path / "source"), "build/doc": str(tmp_path / "site")}
    argv = [sys.executable, *(places.get(word, word) for word in step.argv[1:])]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)


def test_good_pages_make_a_site_that_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = build(tmp_path, GOOD)
    assert (done.returncode, done.stderr) == (0, "")
    site = tmp_path / "site"
    assert "url=doc/index.html" in (site / "index.html").read_text()
    assert 'href="decisions/0001-x.html"' in (site / "doc" / "index.html").read_text()
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert [(file.name, found[0]) for file in files for found in _LOADED.finditer(file.read_text())] == []


def test_images_of_the_readme_are_there_or_left_out(tmp_path: Path) -> None:
    """Badges are images of a forge, which a site elsewhere cannot show; raw HTML is not checked by Sphinx."""
    head = (ROOT / "README.md").read_text().partition("\n## ")[0]
    done = build(tmp_path, GOOD | {"README.md": f"{head}\n\n## Heading\n"})
    assert (done.returncode, done.stderr) == (0, "")
    page = tmp_path / "site" / "README.html"
    images = re.findall(r"""<img[^>]+src=["']([^"']+)""", page.read_text())
    assert [image for image in images if not (page.parent / image).is_file()] == []
    assert "badge.svg" not in page.read_text()
    assert "A command-line testbed" in page.read_text()


def test_what_is_broken_fails_and_is_named(tmp_path: Path) -> None:
    page = "# Page\n\n[x](nowhere.md)\n\n[x](../README.md#none)\n\n![x](none.png)\n"
    done = build(tmp_path, GOOD | {"doc/page.md": page, "doc/lonely.md": "# Lonely\n"})
    assert done.returncode == 1
    said = done.stderr
    assert re.search(r"doc/page.md:\d+: WARNING: .*target not found: 'nowhere.md'", said)
    assert re.search(r"doc/page.md:\d+: WARNING: .*none'", said)
    assert re.search(r"doc/page.md:\d+: WARNING: .*doc/none.png", said)
    assert re.search(r"doc/lonely.md: WARNING: document isn't included in any toctree", said)


@pytest.mark.parametrize(
    "text", ['<script src="https://a.b/c.js">', '<link href="//fonts.b/c">', "url(https://a)", "@import 'x'"]
)
def test_the_check_of_loads_fires(text: str) -> None:
    assert _LOADED.search(text)
    assert not _LOADED.search('<a href="https://github.com/x">')
