# SPDX-License-Identifier: MIT
"""How Sphinx makes a site of the manual: the pages as they lie in the checkout, nothing from the network.

sphinx-build -b html -c doc . build/doc
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HOME = "doc/index"
README = "README"
BADGE = re.compile(r"^<a href=\"\.\./\.\./actions/[^>]*><img [^>]*></a>\n", re.MULTILINE)
LISTED = re.compile(r"\]\(([\w./-]+\.md)(?:#[^)]*)?\)")
DECISIONS = "doc/decisions/index"

project = "testbed"
copyright = "the authors of testbed, MIT"  # noqa: A001 (Sphinx's name)
extensions = ["myst_parser"]
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "doc/**.md"]
root_doc = HOME
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # pages may begin below the first level
nitpicky = True

html_theme = "furo"
html_title = "testbed"
html_copy_source = False
html_show_sphinx = False
html_extra_path = ["site"]  # an index.html at the top that leads to the first page
html_theme_options = {"navigation_with_keys": True}
highlight_language = "text"


def _navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make the navigation of what a page of lists links to: each page is said once, in a table that people read."""
    if docname == README:  # where the badges of workflows lead to, and come from, is on a forge alone
        source[0] = BADGE.sub("", source[0])
    if docname == DECISIONS:
        source[0] += "\n\n```{toctree}\n:glob:\n\n0*\n```\n"
    if docname == HOME:
        root = Path(app.srcdir)
        pages = [
            str((root / HOME).parent.joinpath(found).resolve().relative_to(root)) for found in LISTED.findall(source[0])
        ]
        names = "\n".join(f"/{name.removesuffix('.md')}" for name in dict.fromkeys(pages))
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"


def setup(app: Sphinx) -> dict[str, Any]:
    """Take part in the build."""
    app.connect("source-read", _navigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
